//! A way through the tree of an image that is being written, name by name: each step costs one lookup, however deep it is.

use crate::tree::{Body, NodeId};
use crate::{ImageWriter, Kind};

/// A way from the root. It may lead where nothing is.
#[derive(Debug, Clone)]
pub struct Way<'a> {
    writer: &'a ImageWriter,
    steps: Vec<Option<NodeId>>,
}

impl<'a> Way<'a> {
    /// One that stays at the root.
    pub const fn new(writer: &'a ImageWriter) -> Self {
        Self {
            writer,
            steps: Vec::new(),
        }
    }

    /// Goes on to what has this name where it is, and tells what that is; nothing where nothing is. No link is followed.
    pub fn enter(&mut self, name: &[u8]) -> Option<Kind> {
        let above = match self.steps.last() {
            Some(step) => *step,
            None => Some(NodeId::ROOT),
        };
        let tree = self.writer.tree();
        let step = above
            .and_then(|id| tree.children(id))
            .and_then(|children| children.get(name))
            .copied();
        self.steps.push(step);
        step.map(|id| tree.node(id).body.kind())
    }

    /// Goes back to where it was before the last name; at the root it stays.
    pub fn leave(&mut self) {
        self.steps.pop();
    }

    /// Goes back to the root.
    pub fn restart(&mut self) {
        self.steps.clear();
    }

    /// The target of the symbolic link that it led to.
    pub fn link_target(&self) -> Option<&'a [u8]> {
        match &self.writer.tree().node((*self.steps.last()?)?).body {
            Body::Symlink(target) => Some(target),
            _ => None,
        }
    }
}
