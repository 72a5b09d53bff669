//! What the text gives for one key of a config.

use std::collections::HashMap;

use crate::place::Place;
use crate::syntax::{Arg, Node, Prop, Value};

/// What is written for one key.
#[derive(Clone, Debug)]
pub(super) enum Given<'a> {
    /// One value: of a property, or an argument among several.
    Value(&'a Arg),
    /// Nodes of one name; at least one.
    Nodes(Vec<&'a Node>),
}

impl<'a> Given<'a> {
    pub(super) fn place(&self) -> Place {
        match self {
            Given::Value(arg) => arg.place,
            Given::Nodes(nodes) => nodes[0].args.first().map_or(nodes[0].place, |arg| arg.place),
        }
    }

    /// The place of its name, for what is missing in it.
    pub(super) fn head(&self) -> Place {
        match self {
            Given::Value(arg) => arg.place,
            Given::Nodes(nodes) => nodes[0].place,
        }
    }

    /// The one plain value that it is, if it is that.
    pub(super) fn scalar(&self) -> Option<&'a Arg> {
        match self {
            Given::Value(arg) => Some(arg),
            Given::Nodes(nodes) => match nodes[..] {
                [Node { args, props, children: None, .. }] if props.is_empty() && args.len() == 1 => args.first(),
                _ => None,
            },
        }
    }

    /// The first text without quotes behind another value: it may be meant as a node.
    pub(super) fn bare_word(&self) -> Option<&'a str> {
        let Given::Nodes(nodes) = self else { return None };
        nodes.iter().find_map(|node| node.args.get(1..)?.iter().find(|arg| arg.bare)?.value.as_str())
    }

    /// The one block that it is, if it is that: keys with what is given for them, in order.
    pub(super) fn members(&self) -> Option<Members<'a>> {
        match self {
            Given::Nodes(nodes) => match nodes[..] {
                [node] if node.args.is_empty() => Some(Members::of(node)),
                _ => None,
            },
            Given::Value(_) => None,
        }
    }

    /// Its items as a list. `lists` says that each item is a list itself, so that a node is one item.
    pub(super) fn items(&self, lists: bool) -> Vec<Given<'a>> {
        match self {
            Given::Value(arg) => vec![Given::Value(arg)],
            Given::Nodes(nodes) => nodes.iter().flat_map(|node| node_items(node, lists)).collect(),
        }
    }

    /// For messages.
    pub(super) fn described(&self) -> String {
        match (self.scalar(), self) {
            (Some(arg), _) => arg.value.described(),
            (None, Given::Nodes(nodes)) if nodes.len() > 1 => "it several times".to_owned(),
            (None, Given::Nodes(nodes)) if nodes[0].args.len() > 1 => "a list".to_owned(),
            (None, Given::Nodes(nodes)) if nodes[0].children.is_some() || !nodes[0].props.is_empty() => {
                if nodes[0].args.is_empty() { "a block" } else { "a value with a block" }.to_owned()
            }
            _ => "nothing".to_owned(),
        }
    }

    pub(super) fn is_unknown(&self) -> bool {
        self.scalar().is_some_and(|arg| arg.value == Value::Unknown)
    }
}

fn node_items<'a>(node: &'a Node, lists: bool) -> Vec<Given<'a>> {
    let plain = node.props.is_empty() && node.children.is_none();
    let children = node.children.as_deref().unwrap_or_default();
    let dashes = node.args.is_empty() && node.props.is_empty() && children.iter().all(|child| child.name == "-");
    if lists && !node.args.is_empty() {
        vec![Given::Nodes(vec![node])]
    } else if plain {
        node.args.iter().map(Given::Value).collect()
    } else if dashes {
        children.iter().map(|child| Given::Nodes(vec![child])).collect()
    } else {
        vec![Given::Nodes(vec![node])]
    }
}

/// The keys of a block, in the order of their first appearance.
#[derive(Debug, Default)]
pub(super) struct Members<'a> {
    pub(super) keys: Vec<(&'a str, Given<'a>)>,
    /// Keys given both as a property and as a child.
    pub(super) clashes: Vec<(&'a str, Place)>,
    by_name: HashMap<&'a str, usize>,
}

impl<'a> Members<'a> {
    fn of(node: &'a Node) -> Self {
        let mut members = Self::default();
        for Prop { name, arg } in &node.props {
            members.by_name.insert(name, members.keys.len());
            members.keys.push((name, Given::Value(arg)));
        }
        node.children.iter().flatten().for_each(|child| members.add(child));
        members
    }

    fn add(&mut self, child: &'a Node) {
        match self.by_name.get(child.name.as_str()) {
            None => {
                self.by_name.insert(&child.name, self.keys.len());
                self.keys.push((&child.name, Given::Nodes(vec![child])));
            }
            Some(&at) => match &mut self.keys[at].1 {
                Given::Nodes(nodes) => nodes.push(child),
                Given::Value(_) => self.clashes.push((&child.name, child.place)),
            },
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Given<'a>> {
        self.by_name.get(key).map(|&at| &self.keys[at].1)
    }
}
