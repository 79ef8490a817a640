//! A client as a process of its own, with an environment of its own.

use std::num::NonZeroUsize;

use imbed_ballista::{Cluster, connect};
use imbed_core::{Registry, Session, options::OptionMap};
use imbed_datafusion::{ImageContext, Imbed, cause, with_file_tables};

/// The variable with its statements.
pub(crate) const STATEMENTS: &str = "IMBED_CLUSTER_STATEMENTS";

/// The variable with the address of the service whose models it asks for.
pub(crate) const SERVICE: &str = "IMBED_CLUSTER_SERVICE";

/// Runs the statements one by one and prints all that comes of them.
pub(crate) async fn run(scheduler: String) {
    let mut session = Session::new(Registry::linked());
    let mut options = OptionMap::from_iter([("dialect", "vllm"), ("dimensions", "8"), ("max_retries", "0")]);
    options.set("base_url", &std::env::var(SERVICE).unwrap());
    session.set_provider("openai", options).unwrap();
    let cluster = Cluster { scheduler, partitions: NonZeroUsize::new(4).unwrap() };
    let context = with_file_tables(connect(&Imbed::new(session), &cluster).await.unwrap());
    for statement in context.image_statements(&std::env::var(STATEMENTS).unwrap()).unwrap() {
        let shown = statement.to_string();
        let ran = async {
            let plan = context.image_plan(statement).await?;
            context.execute_logical_plan(plan).await?.collect().await
        };
        match ran.await {
            Ok(batches) => println!("went well: {shown}\n{batches:?}"),
            Err(error) => println!("failed: {shown}\n{error}\n{error:?}\n{:?}", cause(&error)),
        }
    }
}
