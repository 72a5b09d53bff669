//! `flowc store {info, verify, gc}`: looking after the store of results.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use flowc_executor::admin::{Collected, Count, Verified};
use flowc_executor::{PastRun, Pin, admin};
use flowc_planner::quantity::count;
use flowc_store::{Damage, GcReport, Info, Usage};
use serde_json::{Value, json};

use super::{Context, printed, printed_json};
use crate::args::{StoreCommand, StoreGcArgs, StoreInfoArgs, StorePinArgs, StoreUnpinArgs, StoreVerifyArgs};
use crate::exit::{self, Exit};
use crate::report::Failure;
use crate::settings::{ByteSize, SettingsArgs};
use crate::terminal::harmless;

pub(super) fn run(command: StoreCommand, context: &Context) -> Result<Exit, Failure> {
    match command {
        StoreCommand::Info(args) => info(args, context),
        StoreCommand::Verify(args) => verify(args, context),
        StoreCommand::Pin(args) => pin(&args, context),
        StoreCommand::Unpin(args) => unpin(&args, context),
        StoreCommand::Gc(args) => gc(args, context),
    }
}

/// The store's folder. Looking at a store does not make one.
fn folder(store: Option<&Path>, context: &Context) -> Result<PathBuf, Failure> {
    let flags = SettingsArgs { store: store.map(Path::to_path_buf), ..SettingsArgs::default() };
    let folder = context.settings(&flags, Path::new("."))?.store;
    if folder.exists() {
        return Ok(folder);
    }
    let place = folder.display();
    Err(Failure::command(format!("there is no store at {place}; `flowc run` makes one, --store DIR names another")))
}

fn info(args: StoreInfoArgs, context: &Context) -> Result<Exit, Failure> {
    let folder = folder(args.store.store.as_deref(), context)?;
    let (info, runs, pins) = (admin::info(&folder)?, admin::runs(&folder)?, admin::pins(&folder)?);
    if args.store.json {
        return printed_json(&info_json(&folder, &info, &runs, &pins));
    }
    printed(&info_text(&folder, &info, &runs, &pins))
}

fn info_json(folder: &Path, info: &Info, runs: &[PastRun], pins: &[Pin]) -> Value {
    let usage = |usage: &Usage| json!({ "files": usage.files, "bytes": usage.bytes });
    json!({
        "folder": folder.display().to_string(),
        "version": info.version,
        "columns": info.columns,
        "facts": info.memos,
        "removed": info.tombstones,
        "results": usage(&info.objects),
        "index": usage(&info.index),
        "compiled": usage(&info.cwasm),
        "built": usage(&info.builds),
        "environments": usage(&info.environments),
        "temporary": usage(&info.temporary),
        "runs": runs.iter().map(run_json).collect::<Vec<_>>(),
        "pins": pins.iter().map(pin_json).collect::<Vec<_>>(),
    })
}

fn run_json(run: &PastRun) -> Value {
    json!({ "pipeline": run.pipeline, "finished": run.finished })
}

fn pin_json(pin: &Pin) -> Value {
    json!({ "name": pin.name, "pipeline": pin.pipeline, "finished": pin.finished })
}

fn info_text(folder: &Path, info: &Info, runs: &[PastRun], pins: &[Pin]) -> String {
    let mut text = format!("{}, format version {}\n", folder.display(), info.version);
    let parts: [(&str, &Usage); 6] = [
        ("results", &info.objects),
        ("index", &info.index),
        ("compiled components", &info.cwasm),
        ("built components", &info.builds),
        ("Python packages", &info.environments),
        ("being written", &info.temporary),
    ];
    for (name, usage) in parts {
        let size = ByteSize(usage.bytes).to_string();
        let _ = writeln!(text, "  {name:20} {size:>10} in {}", count(usage.files, "file"));
    }
    let (columns, removed) = (count(info.columns, "column"), info.tombstones);
    let _ = writeln!(text, "  {columns} of results, {} remembered, {removed} removed by gc", count(info.memos, "fact"));
    for run in runs {
        let _ = writeln!(text, "  kept: the last good run of {}", harmless(&run.pipeline));
    }
    for pin in pins {
        let _ = writeln!(text, "  pinned: {}, a run of {}", harmless(&pin.name), harmless(&pin.pipeline));
    }
    text
}

fn pin(args: &StorePinArgs, context: &Context) -> Result<Exit, Failure> {
    let pin = context.session(&args.pipeline, false)?.pin(&args.name)?;
    printed(&format!("pinned {}: its results stay through any `flowc store gc`\n", harmless(&pin.name)))
}

fn unpin(args: &StoreUnpinArgs, context: &Context) -> Result<Exit, Failure> {
    admin::unpin(&folder(args.store.as_deref(), context)?, &args.name)?;
    printed(&format!("unpinned {}\n", harmless(&args.name)))
}

/// With the object named as its file is.
fn damage_json(damage: &Damage) -> Value {
    let mut column = json!(damage.column);
    column["location"]["object"] = json!(damage.column.location.object.to_string());
    json!({ "column": column, "reason": damage.reason })
}

fn verify(args: StoreVerifyArgs, context: &Context) -> Result<Exit, Failure> {
    let folder = folder(args.store.store.as_deref(), context)?;
    let verified = admin::verify(&folder, args.repair)?;
    let is_repaired = args.repair && verified.in_use.is_empty();
    let exit = if verified == Verified::default() || is_repaired { exit::OK } else { exit::STORE };
    if args.store.json {
        let damages: Vec<_> = verified.results.iter().map(damage_json).collect();
        let paths = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        let (code, in_use) = (paths(&verified.code), paths(&verified.in_use));
        printed_json(&json!({ "damaged": damages, "damaged_code": code, "in_use": in_use, "repaired": args.repair }))?;
    } else {
        printed(&damage_text(&verified, args.repair))?;
    }
    Ok(exit)
}

fn damage_text(verified: &Verified, repaired: bool) -> String {
    let Verified { results, code, in_use } = verified;
    if *verified == Verified::default() {
        return "every stored result has its digest, and so has all code\n".to_owned();
    }
    let mut text = String::new();
    for damage in results {
        let _ = writeln!(
            text,
            "damaged: {} in object {}: {}",
            damage.column.content.short(),
            damage.column.location.object,
            damage.reason
        );
    }
    for path in code {
        let _ = writeln!(text, "damaged: {}", harmless(&path.display().to_string()));
    }
    for path in in_use {
        let path = path.display().to_string();
        let _ = writeln!(
            text,
            "damaged: {}, which a run that is under way may use; repair again when it has ended",
            harmless(&path)
        );
    }
    let damaged = [count(results.len(), "column"), count(code.len(), "code path")].join(", ");
    let next = if repaired {
        "forgotten; the next run makes them again"
    } else {
        "run `flowc store verify --repair` to forget them"
    };
    let _ = writeln!(text, "{damaged} damaged; {next}");
    text
}

fn gc(args: StoreGcArgs, context: &Context) -> Result<Exit, Failure> {
    let folder = folder(args.store.store.as_deref(), context)?;
    let report = admin::gc(&folder, args.dry_run)?;
    if args.store.json {
        let GcReport { kept, removed, objects, repacked, temporary, bytes } = report.results;
        return printed_json(&json!({
            "dry_run": args.dry_run, "runs": report.runs.iter().map(run_json).collect::<Vec<_>>(), "kept": kept, "removed": removed, "objects": objects,
            "repacked": repacked, "temporary": temporary, "bytes": bytes,
            "environments": count_json(report.environments), "components": count_json(report.components),
            "snapshots": count_json(report.snapshots), "blocks": count_json(report.blocks),
        }));
    }
    printed(&gc_text(&report, args.dry_run))
}

fn count_json(count: Count) -> Value {
    json!({ "kept": count.kept, "removed": count.removed, "others": count.others, "bytes": count.bytes })
}

/// Results, and of the rest what there is.
fn gc_text(report: &Collected, dry_run: bool) -> String {
    let verb = if dry_run { "would remove" } else { "removed" };
    let GcReport { kept, removed, objects, temporary, bytes, .. } = report.results;
    let (removed, files) = (count(removed, "column"), count(objects + temporary, "file"));
    let let_go = if dry_run { "would let go of" } else { "let go of" };
    let mut text = String::new();
    for PastRun { pipeline, .. } in &report.runs {
        let _ = writeln!(text, "{let_go} the last run of {}, which is not there any more", harmless(pipeline));
    }
    let _ = writeln!(text, "{verb} {removed} in {files}, {}; kept {}", ByteSize(bytes), count(kept, "column"));
    let kinds = [
        (report.environments, "Python environment"),
        (report.components, "component"),
        (report.snapshots, "code snapshot"),
        (report.blocks, "block"),
    ];
    let there = kinds.into_iter().filter(|(of, _)| *of != Count::default());
    there.for_each(|(of, what)| text.push_str(&format!("{verb} {}\n", count_text(of, what))));
    text
}

/// `1 component and 2 other items, 3 MiB; kept 4`.
fn count_text(of: Count, what: &str) -> String {
    let Count { kept, removed, others, bytes } = of;
    let beside = if others > 0 { format!(" and {}", count(others, "other item")) } else { String::new() };
    format!("{}{beside}, {}; kept {kept}", count(removed, what), ByteSize(bytes))
}
