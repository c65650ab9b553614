//! What the fuzz targets run; the main workspace's tests run the same on the committed corpus.

pub mod bodies;
