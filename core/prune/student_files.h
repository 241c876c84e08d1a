#pragma once
// A student on disk: config, weights, plan, origin map, and the rest of the pipeline that it came from.

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/model/model.h"
#include "core/prune/removal_plan.h"

namespace espalier::prune {

/// `origin.json`: each student tensor's teacher tensor. Zeroed tensors of padded blocks have no origin.
struct OriginMap {
  std::string teacher;                         // structure hash
  std::map<std::string, std::string> tensors;  // student → teacher
};
OriginMap origin_map(const model::BlockTree& teacher, const model::BlockTree& student);
std::string write_origins(const OriginMap& map);
/// Errors: UserError with every fault.
OriginMap read_origins(const std::filesystem::path& file);

/// Called after each tensor: bytes done, bytes in all.
using WriteProgress = std::function<void(uint64_t done, uint64_t total)>;

/// Where `prune` lays the other tensors of a single-file checkpoint, under their own names.
inline constexpr const char* kRestFile = "checkpoint_rest.safetensors";

/// Copies what a pipeline folder has outside unet/ to the same places under `to`, byte for byte, and lays the other tensors
/// of a checkpoint into kRestFile. Files named in `leave` are not copied.
void copy_beside_unet(const model::Model& model, const std::filesystem::path& to, const std::vector<std::string>& leave);

/// Bytes that `copy_beside_unet` would write.
uint64_t bytes_beside_unet(const model::Model& model);

/// Writes `out`/unet/{config.json,diffusion_pytorch_model.safetensors} and `out`/{plan.toml,origin.json}; of a pipeline
/// folder also everything beside unet/, byte for byte; of a checkpoint its other tensors. `artifacts` (name → bytes) go to
/// `out`/artifacts. `student` may be padded: the output
/// projections of padded blocks are zero. A lone config gives no weights.
///
/// Guarantees: weights keep the teacher's dtype and bytes; the folder appears whole or not at all; the same teacher and
/// plan give the same bytes. Errors: UserError when `out` exists, space is short, or a file cannot be read.
/// Cost: streams tensor by tensor and drops the pages behind; memory does not grow with the model.
void write_student(const model::Model& teacher, const model::BlockTree& student, const RemovalPlan& plan,
                   const std::filesystem::path& out, const WriteProgress& progress = {},
                   const std::map<std::string, std::string>& artifacts = {});

/// Where a tensor of a padded block must be zero so that the block is an identity: the projections whose result is added
/// to the hidden state.
bool is_output_projection(const std::string& tensor);
/// Names of the tensors that are zero in a padded tree.
std::vector<std::string> zeroed_tensors(const model::BlockTree& tree);

}  // namespace espalier::prune
