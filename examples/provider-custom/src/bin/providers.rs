//! Lists the providers that are linked into this program, as `imbed providers` does.

use imbed_core::Registry;
// Links the crate. Without this line nothing here refers to it, and it would be left out.
use provider_custom as _;

fn main() {
    for provider in Registry::linked().iter() {
        let place = if provider.is_local() { "local" } else { "remote" };
        println!("{:<12} {place:<7} {}", provider.name(), provider.summary());
        for model in provider.models() {
            println!("{:<12} {:>4} dimensions, {}", model.name, model.dimensions, model.summary);
        }
        for option in provider.option_specs() {
            println!("{:<12} --option {}={}: {}", "", option.name, option.values, option.summary);
        }
    }
}
