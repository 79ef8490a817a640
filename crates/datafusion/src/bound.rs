//! Calls of `embed_image` whose model is decided: the functions that they call, by what was decided.
//!
//! DataFusion hides an asynchronous function behind one of its own, so what a call means is found here, by equality. There are as
//! many as there are models that queries have named, a few kilobytes each.

use std::sync::{Arc, Mutex, PoisonError};

use datafusion::logical_expr::ScalarUDF;

use crate::{functions::EmbedImage, models::Model};

static BOUND: Mutex<Vec<(Arc<ScalarUDF>, Arc<Model>)>> = Mutex::new(Vec::new());

/// The function whose calls mean `model`.
pub(crate) fn function(model: &Arc<Model>) -> Arc<ScalarUDF> {
    let mut bound = BOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((function, _)) = bound.iter().find(|(_, known)| known.is_same(model)) {
        return Arc::clone(function);
    }
    let function = Arc::new(EmbedImage::bound(Arc::clone(model)).into_udf());
    bound.push((Arc::clone(&function), Arc::clone(model)));
    function
}

/// The model that calls of `function` mean, if it is one of these.
pub(crate) fn model(function: &ScalarUDF) -> Option<Arc<Model>> {
    let bound = BOUND.lock().unwrap_or_else(PoisonError::into_inner);
    bound.iter().find(|(known, _)| known.as_ref() == function).map(|(_, model)| Arc::clone(model))
}
