//! Stands in for `deflate` when the feature is off: types of which there are no values, so that no other file forks.

use super::compression::{BadDeflate, Step, WindowBits};

/// Cannot exist: compression is never agreed without the feature.
#[derive(Debug)]
pub(super) enum Inflater {}

impl Inflater {
    pub(super) fn boxed(_bits: WindowBits) -> Option<Box<Inflater>> {
        None
    }

    pub(super) fn step(&mut self, _input: &[u8], _output: &mut [u8]) -> Step {
        match *self {}
    }

    pub(super) fn at_boundary(&self) -> bool {
        match *self {}
    }

    pub(super) fn end_message(&mut self) {
        match *self {}
    }

    pub(super) fn reset(&mut self) {
        match *self {}
    }
}

/// Cannot exist: compression is never agreed without the feature.
#[derive(Debug)]
pub(super) enum Deflater {}

impl Deflater {
    pub(super) fn boxed(_bits: WindowBits, _level: u8) -> Option<Box<Deflater>> {
        None
    }

    pub(super) fn message(&mut self, _payload: &[u8], _out: &mut Vec<u8>) -> Result<(), BadDeflate> {
        match *self {}
    }

    pub(super) fn reset(&mut self) {
        match *self {}
    }
}
