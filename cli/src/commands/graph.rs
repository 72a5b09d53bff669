//! `flowc graph`: a drawing of the pipeline.

use flowc_planner::render::{self, Format};

use super::{Context, planned, printed};
use crate::args::{GraphArgs, GraphFormat};
use crate::exit::Exit;
use crate::report::Failure;

pub(super) fn run(args: &GraphArgs, context: &Context) -> Result<Exit, Failure> {
    let session = context.session(&args.pipeline, false)?;
    let format = match args.format {
        GraphFormat::Mermaid => Format::Mermaid,
        GraphFormat::Dot => Format::Dot,
        GraphFormat::Svg => Format::Svg,
    };
    printed(&render::graph(&planned(&session)?.plan, format))
}
