//! What is known of a file of weights before anything is read of it but its header.

use std::path::Path;

use super::error::{DataError, Fault};
use super::recipe::Origin;
use crate::checkpoint::{self, CheckpointFault, WeightFacts};

/// Names and shapes of the tensors of a safetensors file.
///
/// # Errors
/// A file that is missing, unreadable or damaged, or a tensor of a dtype that we do not have.
pub fn inspect_weights(path: &Path, origin: Origin) -> Result<WeightFacts, DataError> {
    checkpoint::inspect(path).map_err(|error| {
        let fault = match error.fault {
            CheckpointFault::Missing => Fault::Missing { tried: vec![path.to_path_buf()] },
            CheckpointFault::Unreadable { reason } => Fault::Unreadable { reason },
            CheckpointFault::Truncated { .. }
            | CheckpointFault::Corrupt { .. }
            | CheckpointFault::Foreign
            | CheckpointFault::Newer { .. }
            | CheckpointFault::Dtype { .. }
            | CheckpointFault::Unwritable { .. } => Fault::NotWeights { reason: error.fault.to_string() },
        };
        DataError::in_file(origin, path, fault)
    })
}
