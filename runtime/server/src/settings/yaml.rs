//! YAML text to a tree in which every node knows its place.
//!
//! The tree is built from the parser's events, not through serde: a scalar keeps its source text (`1.50`, `yes`), a map its order, and
//! every key its line and column. Everything has a limit (I6): depth, nodes and text, copies made by aliases included.

use super::place::{Located, Place};
use indexmap::{IndexMap, map::Entry as Slot};
use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, Tag};
use std::{collections::HashMap, sync::Arc};

/// A node of the tree.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where it starts.
    pub(super) place: Place,
    /// What it is.
    pub(super) content: Content,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// `null`, `~` or nothing at all.
    Null,
    /// Text as written, quotes and escapes taken off.
    Scalar(String),
    /// Items in order.
    List(Vec<Node>),
    /// Entries in order.
    Map(IndexMap<String, Entry>),
}

/// An entry of a map.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Where the key stands.
    pub(super) place: Place,
    /// Its value.
    pub(super) value: Node,
}

/// How deep maps and lists may nest.
const DEPTH_MAX: usize = 32;
/// How many nodes a document may have, aliases written out.
const NODES_MAX: usize = 20_000;
/// How many bytes of text a document may have, aliases written out.
const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Parses one document; `None` is an empty file.
pub(super) fn parse(file: &Arc<str>, text: &str) -> Result<Option<Node>, Located> {
    let mut options = Options::default();
    options.emit_comments = false;
    options.block_nesting_limit = DEPTH_MAX;
    options.flow_nesting_limit = DEPTH_MAX;
    let mut tree = Tree {
        file,
        open: Vec::new(),
        root: None,
        anchors: HashMap::new(),
        nodes: 0,
        text_bytes: 0,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| tree.syntax(&error))?;
        tree.take(event, &span)?;
    }
    Ok(tree.root)
}

struct Tree<'a> {
    file: &'a Arc<str>,
    open: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    text_bytes: usize,
}

/// A list or map whose end has not come yet.
struct Open {
    place: Place,
    anchor: usize,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    Map {
        entries: IndexMap<String, Entry>,
        merged: Vec<Node>,
        key: Option<(String, Place)>,
    },
}

impl Tree<'_> {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), Located> {
        let place = Place::at(self.file, span.start.line(), span.start.col() + 1);
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                let problem = "a second document: one file holds one";
                Err(Located::text(place, problem))
            }
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(&place, tag.as_deref())?;
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let content = if plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") {
                    Content::Null
                } else {
                    Content::Scalar(text.into_owned())
                };
                let node = Node { place, content };
                self.count(size(&node), &node.place)?;
                self.add(node, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                refuse_tag(&place, tag.as_deref())?;
                self.begin(place, anchor, Items::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                refuse_tag(&place, tag.as_deref())?;
                let items = Items::Map {
                    entries: IndexMap::new(),
                    merged: Vec::new(),
                    key: None,
                };
                self.begin(place, anchor, items)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    let problem = "this alias stands inside its own anchor";
                    return Err(Located::text(place, problem));
                };
                self.count(size(node), &place)?;
                let content = self.anchors[&anchor].content.clone();
                self.add(Node { place, content }, 0)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, place: Place, anchor: usize, items: Items) -> Result<(), Located> {
        let as_key = matches!(
            self.open.last(),
            Some(Open {
                items: Items::Map { key: None, .. },
                ..
            })
        );
        if as_key {
            let problem = "a key must be text, not a map or a list";
            return Err(Located::text(place, problem));
        }
        if self.open.len() == DEPTH_MAX {
            let problem = format!("nested deeper than {DEPTH_MAX} levels");
            return Err(Located::text(place, problem));
        }
        self.count((1, 0), &place)?;
        self.open.push(Open {
            place,
            anchor,
            items,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Located> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let content = match open.items {
            Items::List(items) => Content::List(items),
            Items::Map {
                mut entries,
                merged,
                ..
            } => {
                for node in merged {
                    merge(&mut entries, node)?;
                }
                Content::Map(entries)
            }
        };
        let node = Node {
            place: open.place,
            content,
        };
        self.add(node, open.anchor)
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Located> {
        if anchor != 0 {
            self.count(size(&node), &node.place)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.items {
            Items::List(items) => items.push(node),
            Items::Map {
                entries,
                merged,
                key,
            } => match key.take() {
                None => *key = Some(text_of_key(node)?),
                Some((name, _)) if name == "<<" => merged.push(node),
                Some((name, place)) => match entries.entry(name) {
                    Slot::Vacant(slot) => {
                        slot.insert(Entry { place, value: node });
                    }
                    Slot::Occupied(slot) => {
                        let first = &slot.get().place;
                        let problem = format!(
                            "the key {} is given twice, first at line {}",
                            slot.key(),
                            first.line
                        );
                        return Err(Located::text(place, problem));
                    }
                },
            },
        }
        Ok(())
    }

    /// Counts what is new or copied, so that aliases of aliases cannot grow without end (I6).
    fn count(&mut self, (nodes, text_bytes): (usize, usize), place: &Place) -> Result<(), Located> {
        self.nodes += nodes;
        self.text_bytes += text_bytes;
        if self.nodes > NODES_MAX || self.text_bytes > TEXT_BYTES_MAX {
            let problem = format!(
                "too large: more than {NODES_MAX} nodes or {TEXT_BYTES_MAX} bytes of text, aliases written out"
            );
            return Err(Located::text(place.clone(), problem));
        }
        Ok(())
    }

    fn syntax(&self, error: &ScanError) -> Located {
        let mark = error.marker();
        let place = Place::at(self.file, mark.line(), mark.col() + 1);
        Located::text(place, format!("this is not YAML: {}", error.info()))
    }
}

/// Nodes and bytes of text of a tree. Its depth is bounded by the nodes that copies of copies cost.
fn size(node: &Node) -> (usize, usize) {
    let sum = |(nodes, bytes): (usize, usize), (n, b): (usize, usize)| (nodes + n, bytes + b);
    match &node.content {
        Content::Null => (1, 0),
        Content::Scalar(text) => (1, text.len()),
        Content::List(items) => items.iter().map(size).fold((1, 0), sum),
        Content::Map(entries) => entries
            .iter()
            .map(|(key, entry)| sum((1, key.len()), size(&entry.value)))
            .fold((1, 0), sum),
    }
}

fn text_of_key(node: Node) -> Result<(String, Place), Located> {
    match node.content {
        Content::Scalar(text) if !text.is_empty() => Ok((text, node.place)),
        _ => Err(Located::text(node.place, "a key must be text")),
    }
}

/// Takes the entries of `<<: *other` (one map, or a list of maps) that the map does not have itself.
fn merge(entries: &mut IndexMap<String, Entry>, node: Node) -> Result<(), Located> {
    match node.content {
        Content::Map(others) => {
            for (key, entry) in others {
                entries.entry(key).or_insert(entry);
            }
            Ok(())
        }
        Content::List(items) => items.into_iter().try_for_each(|item| match item.content {
            Content::Map(_) => merge(entries, item),
            _ => Err(not_merged(item.place)),
        }),
        _ => Err(not_merged(node.place)),
    }
}

fn not_merged(place: Place) -> Located {
    Located::text(place, "<< takes a map or a list of maps")
}

/// Tags of YAML's own types are taken note of; others would have a meaning that is not known here.
fn refuse_tag(place: &Place, tag: Option<&Tag>) -> Result<(), Located> {
    match tag {
        Some(tag) if tag.is_custom() && tag.original() != "!" => {
            let problem = format!("the tag {} has no meaning here", tag.original());
            Err(Located::text(place.clone(), problem))
        }
        _ => Ok(()),
    }
}
