//! Answers that reach beyond one spec: references and renamings in every spec of the open folders that uses a file,
//! edits of several files, and paths of files that are there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsp_types::{Location, TextDocumentPositionParams};
use serde_json::{Value, json};
use strata::check::DataFacts;
use strata::ide::complete::{Completion, path_at};
use strata::ide::{Study, rename as ide};
use strata::load::Loaded;
use strata_grammar::{Edit, FileId, Span};

use super::analyst::{Document, Documents, on_disk, study};
use super::answers::{Asked, Counter};
use super::clerk::Refusal;
use super::diagnostics::address;

/// Where a name is defined: the same in every spec that uses the file.
struct Home {
    name: String,
    offset: usize,
}

fn home(asked: &Asked, offset: usize) -> Option<Home> {
    let (_, symbol) = ide::symbol(&asked.study, asked.file, offset)?;
    let at = asked.study.names.symbol(symbol).definitions.first()?;
    Some(Home { name: asked.study.source(at.file).name.clone(), offset: at.start as usize })
}

/// Every spec that speaks of the file: those in the editor, and those in its folders.
fn specs(counter: &Counter<'_>, home: &Home) -> Vec<Arc<Study>> {
    let Some(snapshot) = &counter.errand.snapshot else { return Vec::new() };
    let mut all: Vec<Arc<Study>> = snapshot.studies.values().cloned().collect();
    let in_library = on_disk(&home.name).is_none();
    if in_library {
        all.push(snapshot.library.clone());
    } else {
        for path in beside(&counter.client.folders) {
            if snapshot.documents.contains_key(&path) {
                continue;
            }
            // Only a file that uses others can speak of this one, unless it is this one.
            let uses = std::fs::read_to_string(&path).is_ok_and(|text| text.contains("use"));
            // No look at their data: names do not depend on them, and data may be large.
            let facts = &mut |_: &Loaded| DataFacts::default();
            if uses && let Some(found) = study(&path, &snapshot.documents, facts, &mut BTreeSet::new()) {
                all.push(Arc::new(found));
            }
        }
    }
    all.retain(|study| study.file(&home.name).is_some());
    all
}

/// The specs in these folders: not in hidden ones, and not too many.
fn beside(folders: &[PathBuf]) -> Vec<PathBuf> {
    const MOST: usize = 1000;
    const DEEPEST: usize = 8;
    let mut found = BTreeSet::new();
    let mut open: Vec<(PathBuf, usize)> = folders.iter().map(|folder| (folder.clone(), 0)).collect();
    let mut looked_at = 0;
    while let Some((folder, depth)) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            looked_at += 1;
            if found.len() >= MOST || looked_at > 100 * MOST {
                return found.into_iter().collect();
            }
            let Ok(kind) = entry.file_type() else { continue };
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if kind.is_dir() && depth < DEEPEST && !name.starts_with('.') && name != "target" {
                open.push((path, depth + 1));
            } else if kind.is_file() && name.ends_with(".model") {
                found.insert(path);
            }
        }
    }
    found.into_iter().collect()
}

/// Every place of the name at a position.
pub fn references(
    counter: &Counter<'_>,
    at: &TextDocumentPositionParams,
    declaration: bool,
) -> Vec<Location> {
    let Some((asked, offset)) = counter.asked_at(at) else { return Vec::new() };
    let mut found: Vec<Location> = Vec::new();
    let mut add = |study: &Study, file: FileId, offset: usize| {
        for place in ide::references(study, file, offset) {
            let wanted = declaration || !place.defines;
            if wanted
                && let Some(location) = counter.location(study, place.span)
                && !found.contains(&location)
            {
                found.push(location);
            }
        }
    };
    match home(&asked, offset) {
        Some(home) => {
            for study in specs(counter, &home) {
                if let Some(file) = study.file(&home.name) {
                    add(&study, file, home.offset);
                }
            }
        }
        None => add(&asked.study, asked.file, offset),
    }
    found
}

/// The edits that give the name at a position another name, in every spec that speaks of it.
pub fn rename(
    counter: &Counter<'_>,
    at: &TextDocumentPositionParams,
    new_name: &str,
) -> Result<Value, Refusal> {
    let Some((asked, offset)) = counter.asked_at(at) else { return Ok(Value::Null) };
    ide::can_rename(&asked.study, asked.file, offset).map_err(Refusal::Cannot)?;
    let Some(home) = home(&asked, offset) else { return Ok(Value::Null) };
    let mut all: Vec<(Arc<Study>, Vec<Edit>)> = Vec::new();
    let mut texts: BTreeMap<String, Vec<(usize, usize)>> = BTreeMap::new();
    for study in specs(counter, &home) {
        let Some(file) = study.file(&home.name) else { continue };
        let edits = ide::rename(&study, file, home.offset, new_name).map_err(Refusal::Cannot)?;
        for edit in &edits {
            let places = texts.entry(study.source(edit.span.file).name.clone()).or_default();
            places.push((edit.span.start as usize, edit.span.end as usize));
        }
        all.push((study, edits));
    }
    // All edits are made before any spec is looked at again: one may lie in a file of another.
    let snapshot = counter.errand.snapshot.as_ref();
    let mut documents: Documents = snapshot.map(|snapshot| snapshot.documents.clone()).unwrap_or_default();
    for (study, _) in &all {
        for (_, source) in study.analysis.loaded.sources.iter() {
            if let (Some(path), Some(places)) = (on_disk(&source.name), texts.get(&source.name)) {
                let mut places = places.clone();
                places.sort_unstable();
                places.dedup();
                let edits: Vec<Edit> = places
                    .into_iter()
                    .map(|(start, end)| Edit {
                        span: Span::new(FileId(0), start, end),
                        text: new_name.into(),
                    })
                    .collect();
                let text = ide::edited(&source.text, &edits).into();
                documents.insert(path, Document { text, version: 0 });
            }
        }
    }
    for (before, own) in &all {
        // What other specs change in this one's files moves places as well.
        let mut edits = own.clone();
        for (file, source) in before.analysis.loaded.sources.iter() {
            for (start, end) in texts.get(&source.name).into_iter().flatten() {
                let span = Span::new(file, *start, *end);
                if !edits.iter().any(|edit| edit.span == span) {
                    edits.push(Edit { span, text: new_name.into() });
                }
            }
        }
        let root = before.source(before.analysis.loaded.root()).name.clone();
        // The data are the same, and files have the same ids.
        let facts = &mut |_: &Loaded| before.analysis.facts.clone();
        let after = study(Path::new(&root), &documents, facts, &mut BTreeSet::new());
        let Some(after) = after else {
            return Err(Refusal::Cannot(format!("`{new_name}` cannot be a name here")));
        };
        strata::ide::rename::same_meaning(before, &after, &edits, new_name).map_err(Refusal::Cannot)?;
    }
    let edits: Vec<(&Study, &[Edit])> = all.iter().map(|(study, edits)| (&**study, &edits[..])).collect();
    Ok(workspace_edit_of(counter, &edits).unwrap_or(Value::Null))
}

/// Edits of one spec, as the client makes them.
pub fn workspace_edit(counter: &Counter<'_>, edits: &[(&Arc<Study>, &Vec<Edit>)]) -> Option<Value> {
    let edits: Vec<(&Study, &[Edit])> = edits.iter().map(|(study, edits)| (&***study, &edits[..])).collect();
    workspace_edit_of(counter, &edits)
}

fn workspace_edit_of(counter: &Counter<'_>, edits: &[(&Study, &[Edit])]) -> Option<Value> {
    let mut files: BTreeMap<String, (Option<i32>, Vec<Value>)> = BTreeMap::new();
    for (study, edits) in edits {
        for edit in *edits {
            let source = study.source(edit.span.file);
            let uri = address(study, edit.span.file)?;
            let documents = &counter.errand.snapshot.as_ref()?.documents;
            let version = on_disk(&source.name).and_then(|path| documents.get(&path)).map(|d| d.version);
            let entry = files.entry(uri.as_str().to_string()).or_insert((version, Vec::new()));
            let range = counter.encoding().range(source, edit.span);
            let change = json!({ "range": range, "newText": edit.text });
            if !entry.1.contains(&change) {
                entry.1.push(change);
            }
        }
    }
    if !counter.client.versioned_edits {
        let changes: BTreeMap<String, Vec<Value>> =
            files.into_iter().map(|(uri, (_, edits))| (uri, edits)).collect();
        return Some(json!({ "changes": changes }));
    }
    let changes: Vec<Value> = files
        .into_iter()
        .map(|(uri, (version, edits))| json!({ "textDocument": { "uri": uri, "version": version }, "edits": edits }))
        .collect();
    Some(json!({ "documentChanges": changes }))
}

/// Files that a path in quotes may go on with: specs in a `use`, any file elsewhere, and folders.
pub fn paths(asked: &Asked, offset: usize) -> Vec<Completion> {
    let source = asked.study.source(asked.file);
    let Some((written, used)) = path_at(&source.text, offset) else { return Vec::new() };
    let Some(here) = on_disk(&source.name) else { return Vec::new() };
    let (folder, begun) = written.rsplit_once('/').unwrap_or(("", &written));
    let Ok(entries) = std::fs::read_dir(here.parent().unwrap_or(Path::new("/")).join(folder)) else {
        return Vec::new();
    };
    let replaces = Span::new(asked.file, offset - begun.len(), offset);
    let mut found = Vec::new();
    for entry in entries.flatten().take(1000) {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_folder = entry.path().is_dir();
        if name.starts_with('.') || !(is_folder || !used || name.ends_with(".model")) {
            continue;
        }
        let text = if is_folder { format!("{name}/") } else { name };
        found.push(Completion { text, kind: None, detail: None, doc: None, replaces, rank: 0 });
    }
    found.sort_by(|a, b| a.text.cmp(&b.text));
    found
}
