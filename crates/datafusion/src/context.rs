//! Sessions of DataFusion that know these functions.

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use async_trait::async_trait;
use datafusion::{
    common::{config_datafusion_err, plan_err},
    error::Result as PlanResult,
    execution::SessionStateBuilder,
    logical_expr::{Expr, LogicalPlan, ScalarUDF},
    physical_optimizer::{PhysicalOptimizerRule, optimizer::PhysicalOptimizer},
    prelude::{DataFrame, SessionConfig, SessionContext},
    sql::{
        parser::{DFParserBuilder, Statement},
        sqlparser::dialect::dialect_from_str,
    },
};
use imbed_core::{Result, Session, options::OnError, session::Request};

use crate::{
    Stores, aliases, bound,
    embed::{BindRule, EmbedRule, ScanRule, SpreadRule},
    error::wrap,
    functions::{self, EmbedImage},
    models::Models,
    named::fill_named_arguments,
    table::{self, ImagesFunction, ImagesTable},
};

/// A rule for physical plans.
type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// What decides how `embed_image` finds its models where nobody has said.
static DEFAULT: LazyLock<Arc<Models>> = LazyLock::new(|| Arc::new(Models::new(None, None, false)));

/// The models that the environment and `imbed.toml` know.
pub(crate) fn default_models() -> Arc<Models> {
    Arc::clone(&DEFAULT)
}

/// The functions of this crate over a [`Session`], which knows providers, default models and options.
///
/// ```
/// # use imbed_provider_candle as _;
/// use imbed_core::{Registry, Session};
/// use imbed_datafusion::{ImageContext, Imbed};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let context = Imbed::new(Session::new(Registry::linked())).context();
/// let query = "SELECT embed_image(image, normalize => true) AS e FROM images('../../examples/images/fruit-*')";
/// let table = context.image_sql(query).await?;
/// assert_eq!(table.count().await?, 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })
/// # }
/// ```
#[derive(Clone)]
pub struct Imbed {
    session: Session,
    fetch: Option<Arc<dyn Fn(&Session, &Request) -> Result<()> + Send + Sync>>,
    hash_weights: bool,
    stores: Arc<Stores>,
    spread: bool,
}

impl Imbed {
    /// The functions over `session`. Planning a query reads configuration on this machine only.
    pub fn new(session: Session) -> Self {
        let stores = Arc::new(Stores::from_environment());
        Self { session, fetch: None, hash_weights: false, stores, spread: false }
    }

    /// Lets planning a query call `fetch` for each model that it names, before the model's configuration is read: to download it,
    /// say.
    #[must_use]
    pub fn with_fetch(mut self, fetch: impl Fn(&Session, &Request) -> Result<()> + Send + Sync + 'static) -> Self {
        self.fetch = Some(Arc::new(fetch));
        self
    }

    /// Lets planning a query read the weights of each model that it names, about a second per gigabyte, so that the metadata of
    /// its column hold their hash, as files written by `imbed embed` do.
    #[must_use]
    pub fn with_weights_hashed(mut self, hash: bool) -> Self {
        self.hash_weights = hash;
        self
    }

    /// Takes the settings of buckets from `stores` and not from the environment of this process.
    #[must_use]
    pub fn with_stores(mut self, stores: Stores) -> Self {
        self.stores = Arc::new(stores);
        self
    }

    /// Lets scans below `embed_image` have as many partitions as the session's `target_partitions` says, because each is a task for
    /// some process, instead of the few that one process needs.
    #[must_use]
    pub fn with_spread(mut self, spread: bool) -> Self {
        self.spread = spread;
        self
    }

    /// Adds the functions, the table function `images`, [`Stores`] behind those of the runtime, and the rules that run
    /// `embed_image` to a session that is being built, among the rules that the builder has, or DataFusion's own.
    pub fn install(&self, builder: SessionStateBuilder) -> SessionStateBuilder {
        self.install_with(builder, &self.models())
    }

    fn models(&self) -> Arc<Models> {
        Arc::new(Models::new(Some(self.session.clone()), self.fetch.clone(), self.hash_weights))
    }

    fn install_with(&self, mut builder: SessionStateBuilder, models: &Arc<Models>) -> SessionStateBuilder {
        let ours = functions::all(models);
        builder.scalar_functions().get_or_insert_default().extend(ours);
        let images = datafusion::catalog::TableFunction::new(table::NAME.to_owned(), Arc::new(ImagesFunction));
        builder.table_functions().get_or_insert_default().insert(table::NAME.to_owned(), Arc::new(images));
        let rules = &mut builder.physical_optimizers().get_or_insert_with(PhysicalOptimizer::new).rules;
        let (embed, scan) = self.rules_with(models);
        if self.spread {
            rules.splice(0..0, [embed, scan]);
        } else {
            rules.insert(0, embed);
            // Behind those that decide how a scan is spread, and before the last, which checks the whole.
            rules.insert(rules.len() - 1, scan);
        }
        let mut runtime = builder.runtime_env().as_deref().cloned().unwrap_or_default();
        runtime.object_store_registry = Arc::new(self.stores.behind(runtime.object_store_registry));
        *builder.runtime_env() = Some(Arc::new(runtime));
        builder
    }

    /// The rules that [`install`](Self::install) adds, in their order, for whoever plans with rules of its own: they come first.
    pub fn rules(&self) -> Vec<Rule> {
        let (embed, scan) = self.rules_with(&self.models());
        vec![embed, scan]
    }

    fn rules_with(&self, models: &Arc<Models>) -> (Rule, Rule) {
        let scan: Rule = if self.spread { Arc::new(SpreadRule) } else { Arc::new(ScanRule) };
        (Arc::new(EmbedRule::new(known(models))), scan)
    }

    /// The same for a session whose plans are run by other processes, which [`wire`](crate::wire) reaches: each call of
    /// `embed_image` is bound to the model that it means here, so that no configuration but this session's counts.
    pub fn install_to_send(&self, builder: SessionStateBuilder) -> SessionStateBuilder {
        let models = self.models();
        self.install_with(builder, &models).with_optimizer_rule(Arc::new(BindRule::new(known(&models))))
    }

    /// A call of `embed_image` of `image` that means what `request` asks of the session.
    pub fn embed(&self, image: Expr, request: &Request) -> PlanResult<Expr> {
        let model = self.models().resolve(request).map_err(wrap)?;
        Ok(bound::function(&model).call(vec![image]))
    }

    /// A session with DataFusion's functions and these, and [`config`].
    pub fn context(&self) -> SessionContext {
        let builder = SessionStateBuilder::new().with_default_features().with_config(config());
        SessionContext::new_with_state(self.install(builder).build())
    }
}

/// `embed_image` as it is called in SQL and in Rust, as registered and as it is.
fn known(models: &Arc<Models>) -> Vec<(ScalarUDF, EmbedImage)> {
    [Arc::clone(models), default_models()].map(|m| (EmbedImage::udf(Arc::clone(&m)), EmbedImage::new(m))).into()
}

/// DataFusion's own settings, but for one: metadata of Parquet columns are read, as those of embeddings say what made them.
pub fn config() -> SessionConfig {
    SessionConfig::new().set_bool("datafusion.execution.parquet.skip_metadata", false)
}

/// What a [`SessionContext`] can do with images.
#[async_trait]
pub trait ImageContext {
    /// The images of a folder, a pattern or one file as a table: `path`, `size`, `modified`, `format`, `image`.
    async fn read_images(&self, place: &str) -> PlanResult<DataFrame>;

    /// [`SessionContext::sql`] with two additions: any argument of a function that may be left out can be given by name, as in
    /// `embed_image(image, normalize => true)`, and `WHERE` knows the names that `SELECT` gives.
    ///
    /// DataFusion itself takes names only for arguments without a gap before them.
    async fn image_sql(&self, query: &str) -> PlanResult<DataFrame>;

    /// The statements in `text`, parsed as [`image_sql`](Self::image_sql) does.
    fn image_statements(&self, text: &str) -> PlanResult<Vec<Statement>>;

    /// The plan of one of [`image_statements`](Self::image_statements).
    async fn image_plan(&self, statement: Statement) -> PlanResult<LogicalPlan>;
}

#[async_trait]
impl ImageContext for SessionContext {
    async fn read_images(&self, place: &str) -> PlanResult<DataFrame> {
        self.read_table(Arc::new(ImagesTable::new(place, OnError::Raise).map_err(wrap)?))
    }

    async fn image_sql(&self, query: &str) -> PlanResult<DataFrame> {
        let mut statements = self.image_statements(query)?.into_iter();
        let (Some(statement), None) = (statements.next(), statements.next()) else {
            return plan_err!("image_sql takes one statement; image_statements takes several");
        };
        let plan = self.image_plan(statement).await?;
        self.execute_logical_plan(plan).await
    }

    fn image_statements(&self, text: &str) -> PlanResult<Vec<Statement>> {
        let state = self.state();
        let options = &state.config().options().sql_parser;
        let dialect = dialect_from_str(options.dialect)
            .ok_or_else(|| config_datafusion_err!("there is no SQL dialect '{}'", options.dialect))?;
        let mut statements: Vec<Statement> = DFParserBuilder::new(text)
            .with_dialect(dialect.as_ref())
            .with_recursion_limit(options.recursion_limit.get())
            .build()?
            .parse_statements()?
            .into();
        statements.iter_mut().for_each(|statement| fill_named_arguments(statement, &state));
        Ok(statements)
    }

    async fn image_plan(&self, statement: Statement) -> PlanResult<LogicalPlan> {
        aliases::plan(statement, &self.state()).await
    }
}

impl fmt::Debug for Imbed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imbed")
            .field("session", &self.session)
            .field("hash_weights", &self.hash_weights)
            .field("stores", &self.stores)
            .finish_non_exhaustive()
    }
}
