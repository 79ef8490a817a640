//! Secrets stay secret.

use std::fmt::{Debug, Write};

use imbed_core::{Error, SerializedDescriptor};
use imbed_engine::Engine;

use crate::{
    Behaviour, Trouble,
    behaviour::{Check, ensure},
    bench::{Bench, column},
    journal,
    pictures::{pictures, pngs},
};

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "secrets",
    promise: "no secret is in an error, in the log, in what is printed for debugging, or in a descriptor that travels",
    cannot: |bench| {
        // A remote provider has keys, so it has to name the one that it is tested with.
        let none = bench.subject.secrets.is_empty() && bench.provider.is_local();
        none.then(|| "this local provider was given no secret".to_owned())
    },
    check,
};

fn check(bench: &Bench) -> Check {
    let secrets = &bench.subject.secrets;
    ensure!(
        !secrets.is_empty(),
        "a remote provider must be tested with a key of which the suite knows (Subject::secret)"
    );
    let said = provoke(bench)?;
    for secret in secrets {
        for (what, text) in &said {
            ensure!(!text.contains(secret.as_str()), "the secret is in {what}");
        }
        ensure!(!journal::contains(secret), "the secret was logged");
    }
    Ok(())
}

/// Everything that the provider says about itself and about its failures.
fn provoke(bench: &Bench) -> Result<Vec<(String, String)>, crate::behaviour::Failure> {
    let mut said = vec![
        debug("the provider", &bench.provider),
        debug("the descriptor", &bench.descriptor),
        (
            "the serialised descriptor".to_owned(),
            serde_json::to_string(&SerializedDescriptor::of(bench.descriptor.as_ref())?).unwrap_or_default(),
        ),
        debug("the loaded model", &bench.model()?.embedder),
    ];
    let engine = bench.engine(&[])?;
    said.push(("the plan".to_owned(), engine.plan().to_string()));
    said.push(debug("the engine", &engine));
    let file = || Ok::<_, Error>(column(&[pngs(&pictures(1)?)?.pop()]));
    engine.embed_array(file()?.into())?;

    let no_model = bench.describe_model("imbed-conformance/there-is-no-such-model", &bench.subject.options, &[]);
    said.extend(no_model.err().map(|e| whole("an unknown model", &e)));
    let mut options = bench.descriptor.options().clone();
    options.extra.insert("no_such_option".to_owned(), true.into());
    let no_option = bench.provider.image_embedder(&bench.subject.model, &options);
    said.extend(no_option.err().map(|e| whole("an unknown option", &e)));
    for trouble in [Trouble::FailsForNow, Trouble::FailsForGood] {
        let Some(staged) = bench.subject.stage(trouble) else { continue };
        let staged = staged?;
        let failed = bench
            .describe_model(&staged.model, &staged.options, &[("max_retries", "0"), ("on_error", "raise")])
            .and_then(|descriptor| Engine::builder(descriptor).build())
            .and_then(|engine| engine.embed_array(file()?.into()));
        said.extend(failed.err().map(|e| whole(&format!("{trouble:?}"), &e)));
    }
    Ok(said)
}

fn debug(what: &str, value: &dyn Debug) -> (String, String) {
    (format!("the debug output of {what}"), format!("{value:?}"))
}

/// An error with its causes, printed both ways.
fn whole(what: &str, error: &Error) -> (String, String) {
    let mut text = String::new();
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        let _ = write!(text, "{error} {error:?} ");
        next = error.source();
    }
    (format!("the error of: {what}"), text)
}
