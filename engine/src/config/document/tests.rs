//! Trees of small documents.
