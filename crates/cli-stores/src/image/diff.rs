//! `banger image diff`

use banger_api::{ImageDiff, ImageDifference};
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::{complete, print};
use banger_model::{Aspect, DifferenceKind};
use banger_model::{ImageName, printable};

/// Show the files that an image added, changed or removed
///
/// Compares the image with the image below it, or with OTHER. A marks added files, D removed files and directories, and
/// C changed files, with what changed. Times are not compared.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger image diff dev                 show what `image build` or `vm commit` changed
  banger image diff debian-13 debian-12 --json")]
pub struct Args {
    /// Name of the image
    #[arg(add = complete::images())]
    name: String,
    /// Image to compare with; the image below if omitted
    #[arg(add = complete::images())]
    other: Option<ImageName>,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(client: &Client, args: Args) -> Result<(), Failure> {
    let query = ImageDiff { other: args.other };
    let differences = client.diff_image(&args.name, &query).await?;
    if args.output.json {
        return Ok(print::json(&differences)?);
    }
    for difference in &differences {
        print::line(&line(difference));
    }
    Ok(())
}

fn line(difference: &ImageDifference) -> String {
    let path = printable(&difference.path);
    match difference.kind {
        DifferenceKind::Added => format!("A {path}"),
        DifferenceKind::Removed => format!("D {path}"),
        DifferenceKind::Changed => {
            let aspects: Vec<_> = difference.aspects.iter().copied().map(word).collect();
            format!("C {path} ({})", aspects.join(", "))
        }
    }
}

fn word(aspect: Aspect) -> &'static str {
    match aspect {
        Aspect::Kind => "kind",
        Aspect::Content => "content",
        Aspect::Mode => "mode",
        Aspect::Owner => "owner",
        Aspect::Attributes => "attributes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_play_with_the_terminal() {
        let difference = ImageDifference {
            path: "/a\u{1b}[2Jb\n".to_owned(),
            kind: DifferenceKind::Changed,
            aspects: vec![Aspect::Mode, Aspect::Owner],
        };
        assert_eq!(line(&difference), "C /a\\u{1b}[2Jb\\n (mode, owner)");
    }
}
