//! What can be wrong with a model.

/// Declares the faults with their words.
macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident = $word:literal),+ $(,)?) => {
        /// What is wrong with a model.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fault { $($(#[$doc])* $fault),+ }

        impl Fault {
            /// Every fault.
            pub const ALL: &'static [Self] = &[$(Self::$fault),+];

            /// The word for it, such as `swaps-rows`.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$fault => $word),+ }
            }
        }
    };
}

faults! {
    /// Nothing.
    None = "none",
    /// The descriptor says one number more than the vectors have.
    AnnouncesAnotherWidth = "announces-another-width",
    /// Whatever `max_retries` or `alpha` was, it is the default after a journey.
    LosesItsOptions = "loses-its-options",
    /// A descriptor can be restored in its own process only.
    KnowsItsProcessOnly = "knows-its-process-only",
    /// Claims that vectors cannot be cut, and takes the option.
    CutsAlthoughItCannot = "cuts-although-it-cannot",
    /// Takes every size of image and reads its own.
    TakesAnyImageSize = "takes-any-image-size",
    /// Takes every number type and computes in f32.
    TakesAnyDtype = "takes-any-dtype",
    /// Loads on the processor whichever device is asked for.
    TakesAnyDevice = "takes-any-device",
    /// Is a little off.
    Drifts = "drifts",
    /// One number is not a number.
    GivesNan = "gives-nan",
    /// Every vector is zero.
    GivesZero = "gives-zero",
    /// Every image has the same vector.
    IsConstant = "is-constant",
    /// Claims unit length and gives twice that.
    LosesUnitLength = "loses-unit-length",
    /// No call is like the one before.
    IsNeverTheSame = "is-never-the-same",
    /// The size of the batch shows in the vectors.
    DependsOnTheBatch = "depends-on-the-batch",
    /// Calls at the same time write to the same place.
    MixesThreads = "mixes-threads",
    /// The last row of a batch is not written, or not given back.
    ForgetsARow = "forgets-a-row",
    /// The rows of a batch are turned around.
    SwapsRows = "swaps-rows",
    /// Fails on images without colour.
    FailsOnGrey = "fails-on-grey",
    /// Fails on images whose pixels are all the same.
    FailsOnOneColour = "fails-on-one-colour",
    /// The first two calls of a loaded model fail, and say that this will pass.
    FailsTwice = "fails-twice",
    /// The same, but they say that it will not pass.
    FailsTwiceSayingForGood = "fails-twice-saying-for-good",
    /// Every call fails, and says that it will not pass.
    FailsForGood = "fails-for-good",
    /// The same, but they say that it will pass.
    FailsForGoodSayingForNow = "fails-for-good-saying-for-now",
    /// Every call fails for good, and makes four requests before it says so.
    RepeatsInVain = "repeats-in-vain",
    /// Every call takes 0.7 seconds.
    IsSlow = "is-slow",
    /// Every call takes 0.3 seconds and, where it is asynchronous, blocks the thread that it waits on.
    BlocksItsThread = "blocks-its-thread",
    /// Every call fails, and the message has the key.
    TellsItsSecret = "tells-its-secret",
    /// Every call writes the key to the log.
    LogsItsSecret = "logs-its-secret",
}

impl Fault {
    /// The name of the model with this fault.
    pub fn model(self) -> String {
        format!("faulty/{}", self.word())
    }

    /// The fault of the model called `model`.
    pub(super) fn of_model(model: &str) -> Option<Self> {
        let word = model.strip_prefix("faulty/")?;
        Self::ALL.iter().copied().find(|fault| fault.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::Fault;

    #[test]
    fn every_fault_is_found_by_the_name_of_its_model() {
        for fault in Fault::ALL {
            assert_eq!(Fault::of_model(&fault.model()), Some(*fault));
        }
        assert_eq!(Fault::of_model("swaps-rows"), None);
    }
}
