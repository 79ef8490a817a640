//! Plans survive the way from a client to the scheduler and on to executors.

use std::{path::Path, sync::Arc};

use arrow_array::{RecordBatch, cast::AsArray};
use datafusion::{
    execution::{SessionState, SessionStateBuilder},
    physical_plan::{ExecutionPlan, ExecutionPlanProperties, collect, displayable},
    prelude::SessionContext,
};
use datafusion_proto::{
    logical_plan::AsLogicalPlan,
    physical_plan::AsExecutionPlan,
    protobuf::{LogicalPlanNode, PhysicalPlanNode},
};
use imbed_core::{Registry, Session, options::OptionMap};
use imbed_datafusion::{ImageContext, Imbed, cause, wire};
use imbed_provider_candle as _;
use imbed_provider_openai as _;

use crate::{
    client,
    codec::{LogicalCodec, PhysicalCodec},
    session::{config, scheduler_state},
};

/// The folder of the project's example images, by its absolute name.
fn examples() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/images").canonicalize().unwrap().display().to_string()
}

fn imbed() -> Imbed {
    Imbed::new(Session::new(Registry::linked()))
}

fn client(imbed: &Imbed) -> SessionContext {
    SessionContext::new_with_state(client::state(imbed, "http://127.0.0.1:1", 4))
}

/// The optimised plan of `query` as the client sends it.
async fn sent(context: &SessionContext, query: &str) -> Vec<u8> {
    let table = context.image_sql(query).await.unwrap_or_else(|e| panic!("{query}: {e}"));
    let plan = context.state().optimize(table.logical_plan()).unwrap_or_else(|e| panic!("{query}: {e}"));
    let mut bytes = Vec::new();
    let node = LogicalPlanNode::try_from_logical_plan(&plan, &LogicalCodec::default()).unwrap();
    node.try_encode(&mut bytes).unwrap();
    bytes
}

/// The scheduler's session and its plan of what was sent.
async fn planned(bytes: &[u8]) -> (SessionState, Arc<dyn ExecutionPlan>) {
    let state = scheduler_state(config().with_target_partitions(4));
    let context = SessionContext::new_with_state(state.clone());
    let node = LogicalPlanNode::try_decode(bytes).unwrap();
    let plan = node.try_into_logical_plan(&context.task_ctx(), &LogicalCodec::default()).unwrap();
    let plan = state.create_physical_plan(&plan).await.unwrap();
    (state, plan)
}

fn encoded(plan: &Arc<dyn ExecutionPlan>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let node = PhysicalPlanNode::try_from_physical_plan(Arc::clone(plan), &PhysicalCodec::default()).unwrap();
    node.try_encode(&mut bytes).unwrap();
    bytes
}

/// A session of an executor, which knows the functions by their names.
fn executor() -> SessionContext {
    let builder = SessionStateBuilder::new().with_default_features().with_config(config());
    SessionContext::new_with_state(imbed().install(builder).build())
}

fn arrived(bytes: &[u8], executor: &SessionContext) -> Arc<dyn ExecutionPlan> {
    let node = PhysicalPlanNode::try_decode(bytes).unwrap();
    let plan = node.try_into_physical_plan(&executor.task_ctx(), &PhysicalCodec::default()).unwrap();
    wire::restore(plan).unwrap()
}

/// The rows as text, in order of that text.
fn rows(batches: &[RecordBatch]) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| format!("{:?}", column.slice(row, 1)));
            rows.push(cells.collect::<Vec<_>>().join("|"));
        }
    }
    rows.sort();
    rows
}

#[tokio::test]
async fn the_same_rows_come_from_a_plan_that_travelled() {
    let examples = examples();
    for (query, nodes) in [
        (format!("SELECT path, embed_image(image) AS e FROM images('{examples}')"), "EmbedExec"),
        (
            format!(
                "SELECT path, embed_image(resize_image(convert_image(decode_image(image), 'RGB'), 96, 96), \
                 normalize => true) AS e FROM images('{examples}/**') WHERE size > 100"
            ),
            "fused with [decode, 8 bits, convert to RGB, resize to 96 x 96 bicubic]",
        ),
        (
            format!(
                "SELECT embed_image(image) AS a, embed_image(image) AS b, embed_image(image, normalize => true) AS c \
                 FROM images('{examples}', 'ignore')"
            ),
            "__async_fn_",
        ),
        (
            format!(
                "SELECT path, cosine_similarity(embed_image(image), (SELECT embed_image(image) FROM \
                 images('{examples}') ORDER BY path LIMIT 1)) AS s FROM images('{examples}') ORDER BY s DESC, path LIMIT 3"
            ),
            "EmbedExec",
        ),
        (
            format!(
                "SELECT path, image_width(decode_image(image, on_error => 'ignore')) AS w FROM images('{examples}')"
            ),
            "ReadImagesExec",
        ),
        // Not fused, as the steps do something else with rows that fail.
        (
            format!("SELECT embed_image(decode_image(image), on_error => 'log') AS e FROM images('{examples}')"),
            "of decode_image(image@0), provider",
        ),
        (
            format!(
                "SELECT path, resize_image(decode_image(image), 8, 8) AS small FROM images('{examples}') WHERE \
                 image_width(decode_image(image)) > 10"
            ),
            "FilterExec",
        ),
        (format!("SELECT count(*) FROM images('{examples}') WHERE path LIKE '%fruit%'"), "ReadImagesExec"),
    ] {
        let imbed = imbed();
        let (_, plan) = planned(&sent(&client(&imbed), &query).await).await;
        let shown = displayable(plan.as_ref()).indent(false).to_string();
        assert!(shown.contains(nodes), "{query}\n{shown}");
        let executor = executor();
        let again = arrived(&encoded(&plan), &executor);
        assert_eq!(displayable(again.as_ref()).indent(false).to_string(), shown, "{query}");
        assert_eq!(again.schema(), plan.schema(), "{query}");
        let there = collect(again, executor.task_ctx()).await.unwrap_or_else(|e| panic!("{query}: {e}\n{shown}"));
        let here = imbed.context().image_sql(&query).await.unwrap().collect().await.unwrap();
        assert_eq!(rows(&there), rows(&here), "{query}");
    }
}

#[tokio::test]
async fn files_are_dealt_out_and_so_are_tables() {
    let imbed = imbed();
    let query = format!("SELECT path, embed_image(image) AS e FROM images('{}')", examples());
    let (_, plan) = planned(&sent(&client(&imbed), &query).await).await;
    assert_eq!(plan.output_partitioning().partition_count(), 4);
    let shown = displayable(plan.as_ref()).indent(false).to_string();
    assert!(!shown.contains("RepartitionExec") && !shown.contains("Coalesce"), "{shown}");
}

#[tokio::test]
async fn metadata_of_the_column_arrive() {
    let imbed = imbed().with_weights_hashed(true);
    let query = format!("SELECT embed_image(image) AS e FROM images('{}')", examples());
    let (_, plan) = planned(&sent(&client(&imbed), &query).await).await;
    let again = arrived(&encoded(&plan), &executor());
    let metadata = again.schema().field(0).metadata().clone();
    let here = imbed.context().image_sql(&query).await.unwrap();
    assert_eq!(&metadata, here.schema().field(0).metadata());
    assert!(metadata.contains_key("imbed.weights"), "{metadata:?}");
}

#[tokio::test]
async fn keys_do_not_travel() {
    const KEY: &str = "sk-canary-5f1d9c";
    let mut session = Session::new(Registry::linked());
    let options = [("base_url", "http://127.0.0.1:9/v1"), ("api_key", KEY), ("dimensions", "8"), ("dialect", "vllm")];
    session.set_provider("openai", OptionMap::from_iter(options)).unwrap();
    let imbed = Imbed::new(session);
    let query = format!("SELECT embed_image(image, model => 'x') AS e FROM images('{}')", examples());
    let context = client(&imbed);
    let logical = sent(&context, &query).await;
    let (_, plan) = planned(&logical).await;
    let holds = |bytes: &[u8]| bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes());
    assert!(!holds(&logical), "the plan for the scheduler holds the key");
    assert!(!holds(&encoded(&plan)), "the plan for an executor holds the key");

    let told = format!("SELECT embed_image(image, model => 'x', api_key => '{KEY}') FROM images('{}')", examples());
    let table = context.image_sql(&told).await.unwrap();
    let error = cause(&context.state().optimize(table.logical_plan()).unwrap_err());
    assert!(error.message().contains("api_key"), "{error}");
    assert!(error.hint_text().unwrap().contains("environment of each executor") && !error.to_string().contains(KEY));
}

#[tokio::test]
async fn a_relative_place_means_the_clients_folder() {
    let query = "SELECT path, size FROM images('../../examples/images') ORDER BY path";
    let imbed = imbed();
    let (_, plan) = planned(&sent(&client(&imbed), query).await).await;
    let executor = executor();
    let there = collect(arrived(&encoded(&plan), &executor), executor.task_ctx()).await.unwrap();
    let here = imbed.context().image_sql(query).await.unwrap().collect().await.unwrap();
    assert_eq!(rows(&there), rows(&here));
    let path = there[0].column(0).as_string::<i32>().value(0);
    assert!(path.starts_with("../../examples/images/"), "{path}");
}

#[tokio::test]
async fn a_number_type_that_each_executor_would_choose_is_refused() {
    let context = client(&imbed());
    let query = format!("SELECT embed_image(image, dtype => 'auto') FROM images('{}')", examples());
    let table = context.image_sql(&query).await.unwrap();
    let error = cause(&context.state().optimize(table.logical_plan()).unwrap_err());
    assert!(error.message().contains("'auto'") && error.hint_text().is_some(), "{error}");
}
