//! What the kernel asks of whoever reads a log: files, JSON, Parquet, and expressions over actions.
//!
//! Actions are rows of JSON values here: a log is small beside its data, which the kernel never sees.

mod checkpoint;
mod evaluate;
mod json;
mod parquet;
mod rows;
mod scalar;
mod storage;

use std::sync::Arc;

use delta_kernel::{Engine, EvaluationHandler, JsonHandler, ParquetHandler, StorageHandler};

pub(crate) use rows::Rows;
pub(crate) use storage::{Place, Storage, key};

/// Reads and writes logs.
pub(crate) struct LogEngine(pub(crate) Arc<Storage>);

impl Engine for LogEngine {
    fn evaluation_handler(&self) -> Arc<dyn EvaluationHandler> {
        Arc::new(evaluate::Evaluation)
    }

    fn storage_handler(&self) -> Arc<dyn StorageHandler> {
        self.0.clone()
    }

    fn json_handler(&self) -> Arc<dyn JsonHandler> {
        Arc::new(json::Json(self.0.clone()))
    }

    fn parquet_handler(&self) -> Arc<dyn ParquetHandler> {
        Arc::new(parquet::Checkpoints(self.0.clone()))
    }
}
