#include "core/train/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/sha256.h"
#include "core/base/text.h"
#include "core/io/safetensors.h"
#include "core/io/safetensors_writer.h"

namespace espalier::train {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char *kTensors = "state.safetensors", *kState = "state.json", *kManifest = "manifest.json";
constexpr int kFormat = 1;

/// Every buffer of a student that a resumed run needs, with its name in the file. Gradients are not among them: checkpoints lie
/// between updates.
template <typename StudentType, typename F>
void for_each_buffer(StudentType& student, const F& f) {
  for (auto& tensor : student.tensors()) {
    f("weight/" + tensor.name, tensor.weight);
    for (size_t k = 0; k < tensor.slots.size(); ++k) f("slot" + std::to_string(k) + "/" + tensor.name, tensor.slots[k]);
    if (tensor.ema) f("ema/" + tensor.name, *tensor.ema);
  }
}

std::string hex_of(const std::string& bytes) {
  std::string text;
  for (const char c : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return text;
}

std::string of_hex(const std::string& text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    throw UserError("the pruner's state is damaged");
  };
  std::string bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) bytes += static_cast<char>(16 * digit(text[i]) + digit(text[i + 1]));
  return bytes;
}

json to_json(const RunState& state) {
  json history = json::array();
  for (const StageRecord& row : state.history) {
    json each{{"stage", row.stage},     {"attempt", row.attempt}, {"step", row.step},
              {"removed", row.removed}, {"gate", row.gate},       {"outcome", row.outcome}};
    if (row.value) each["value"] = *row.value;
    history.push_back(std::move(each));
  }
  const Position& at = state.position;
  return {{"format", kFormat},
          {"step", at.step},
          {"planned", at.planned},
          {"stage", at.stage},
          {"stage_step", at.stage_step},
          {"attempt", at.attempt},
          {"pruned", at.pruned},
          {"metrics_bytes", state.mark.jsonl_bytes},
          {"event_bytes", state.mark.event_bytes},
          {"history", history},
          {"last_row", state.last_row},
          {"last_validation", state.last_validation},
          {"pruner",
           {{"schedule", state.pruner.schedule},
            {"asked", state.pruner.asked},
            {"done", state.pruner.done},
            {"state", hex_of(state.pruner.bytes)}}},
          {"validated", state.validated},
          {"inputs", state.inputs}};
}

RunState from_json(const json& root) {
  RunState state;
  if (root.at("format") != kFormat) throw UserError("it is of format " + root.at("format").dump() + ", this program reads 1");
  Position& at = state.position;
  root.at("step").get_to(at.step), root.at("planned").get_to(at.planned), root.at("stage").get_to(at.stage);
  root.at("stage_step").get_to(at.stage_step), root.at("attempt").get_to(at.attempt), root.at("pruned").get_to(at.pruned);
  root.at("metrics_bytes").get_to(state.mark.jsonl_bytes), root.at("event_bytes").get_to(state.mark.event_bytes);
  root.at("last_row").get_to(state.last_row), root.at("validated").get_to(state.validated);
  root.at("inputs").get_to(state.inputs);
  if (root.contains("last_validation")) root.at("last_validation").get_to(state.last_validation);
  if (root.contains("pruner")) {
    const json& pruner = root.at("pruner");
    pruner.at("schedule").get_to(state.pruner.schedule), pruner.at("asked").get_to(state.pruner.asked);
    pruner.at("done").get_to(state.pruner.done);
    state.pruner.bytes = of_hex(pruner.at("state").get<std::string>());
  }
  for (const json& row : root.at("history")) {
    StageRecord each{row.at("stage"),  row.at("attempt"), row.at("step"), row.at("removed"), row.at("gate"), {},
                     row.at("outcome")};
    if (row.contains("value")) each.value = row.at("value").get<float>();
    state.history.push_back(std::move(each));
  }
  return state;
}

}  // namespace

uint64_t checkpoint_bytes(const Student& student) {
  uint64_t bytes = 0;
  for_each_buffer(student, [&](const std::string&, const Buffer& buffer) { bytes += buffer.type().bytes(); });
  return bytes;
}

void write_checkpoint(const fs::path& folder, const Student& student, const RunState& state) {
  AtomicFolder made(folder, checkpoint_bytes(student));
  std::vector<io::TensorDecl> declared;
  for_each_buffer(student, [&](const std::string& name, const Buffer& buffer) { declared.push_back({name, buffer.type()}); });
  {
    io::SafetensorsWriter writer(made.path() / kTensors, declared);
    for_each_buffer(student, [&](const std::string& name, const Buffer& buffer) {
      writer.write(name, {buffer.type(), buffer.bytes()});
    });
    writer.finish();
  }
  json root = to_json(state);
  root["plan"] = prune::write_plan(student.structure().plan);
  write_text(made.path() / kState, root.dump(1) + "\n");
  json files;
  for (const char* name : {kTensors, kState}) files[name] = sha256_of_file(made.path() / name);
  write_text(made.path() / kManifest, json{{"sha256", files}}.dump(1) + "\n");
  made.publish();
}

std::string checkpoint_fault(const fs::path& folder) {
  for (const char* name : {kManifest, kTensors, kState})
    if (!fs::exists(folder / name)) return std::string(name) + " is missing";
  const std::string text = read_text(folder / kManifest);
  try {
    const json manifest = json::parse(text);
    for (const char* name : {kTensors, kState})
      if (manifest.at("sha256").at(name) != sha256_of_file(folder / name)) return std::string(name) + " is damaged";
  } catch (const json::exception& error) {
    return std::string(kManifest) + " is damaged: " + error.what();
  }
  return "";
}

LoadedCheckpoint read_checkpoint(const fs::path& folder, const Base& base, const OptimizerSpec& optimizer, bool with_ema) {
  if (const std::string fault = checkpoint_fault(folder); !fault.empty()) throw UserError(folder.string() + ": " + fault);
  LoadedCheckpoint loaded;
  try {
    const json root = json::parse(read_text(folder / kState, uint64_t{256} << 20));
    loaded.state = from_json(root);
    const prune::RemovalPlan plan = prune::parse_plan(root.at("plan").get<std::string>(), (folder / kState).string());
    loaded.student = std::make_unique<Student>(make_structure(base, plan), nullptr, optimizer, with_ema);
  } catch (const json::exception& error) {
    throw UserError((folder / kState).string() + ": " + error.what());
  }
  const io::TensorSourcePtr source = io::open_safetensors(folder / kTensors);
  const std::string of_loss = std::string("weight/") + distill::kLossPrefix;
  std::vector<distill::LossParam> params;
  for (const std::string& name : source->names())
    if (name.rfind(of_loss, 0) == 0) params.push_back({name.substr(7), source->get(name).type, {}});
  loaded.student->set_loss_params(params, 0, optimizer);
  size_t read = 0;
  for_each_buffer(*loaded.student, [&](const std::string& name, Buffer& buffer) {
    ++read;
    const io::TensorRef tensor = source->get(name);
    if (!(tensor.type == buffer.type()))
      throw UserError((folder / kTensors).string() + ": '" + name + "' is " + to_string(tensor.type) + ", the recipe makes it " +
                      to_string(buffer.type()));
    std::memcpy(buffer.bytes().data(), tensor.bytes.data(), tensor.bytes.size());
    source->drop_pages(name);
  });
  if (read != source->names().size())
    throw UserError(fmt::format("{}: holds {} tensors, and the student that the recipe makes has {}: it is of another model",
                                (folder / kTensors).string(), source->names().size(), read));
  return loaded;
}

fs::path CheckpointFolder::of(const Position& at) const {
  return folder_ / fmt::format("step-{:08d}-stage-{:03d}-attempt-{:03d}", at.step, at.stage, at.attempt);
}
fs::path CheckpointFolder::of_stage(int64_t stage) const { return folder_ / fmt::format("before-stage-{}", stage); }

std::vector<fs::path> CheckpointFolder::steps() const {
  std::vector<fs::path> found;
  std::error_code fault;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_, fault))
    if (entry.is_directory() && entry.path().filename().string().rfind("step-", 0) == 0) found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

std::optional<fs::path> CheckpointFolder::newest_good(std::vector<std::string>& notes, bool set_aside) const {
  std::vector<fs::path> found = steps(), damaged;
  std::vector<std::string> faults;
  for (; !found.empty(); found.pop_back()) {
    const std::string fault = checkpoint_fault(found.back());
    if (fault.empty()) break;
    damaged.push_back(found.back());
    faults.push_back(found.back().string() + ": not used: " + fault);
  }
  if (found.empty() && damaged.empty()) return std::nullopt;
  // Nothing is renamed then: the next try must not take the run for one without checkpoints.
  if (found.empty())
    throw UserError("[" + folder_.string() + "] no checkpoint is good, so that the run cannot go on; begin a new one\n" +
                    join(faults, "\n"));
  std::error_code ignored;
  for (const fs::path& path : damaged)
    if (set_aside) fs::rename(path, folder_ / ("damaged-" + path.filename().string()), ignored);
  notes.insert(notes.end(), faults.begin(), faults.end());
  return found.back();
}

uint64_t CheckpointFolder::bytes() const {
  uint64_t sum = 0;
  std::error_code fault;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder_, fault))
    if (entry.is_regular_file(fault)) sum += entry.file_size(fault);
  return sum;
}

void CheckpointFolder::rotate(int64_t keep) const {
  const std::vector<fs::path> found = steps();
  for (size_t i = 0; i + static_cast<size_t>(keep) < found.size(); ++i) remove(found[i]);
  std::error_code fault;
  std::vector<fs::path> leftovers;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_, fault))
    if (entry.path().filename().string().rfind(".removing-", 0) == 0) leftovers.push_back(entry.path());
  for (const fs::path& left : leftovers) fs::remove_all(left, fault);
}

// Renamed first, so that a process killed half-way leaves nothing that looks like a checkpoint.
void CheckpointFolder::remove(const fs::path& checkpoint) const {
  const fs::path aside = folder_ / (".removing-" + checkpoint.filename().string());
  std::error_code fault;
  fs::remove_all(aside, fault);
  fs::rename(checkpoint, aside, fault);
  if (!fault) fs::remove_all(aside, fault);
}

}  // namespace espalier::train
