// Everything is made in a staging folder beside the target and renamed at the end. Tensors go from the mapped file to the
// new one in their own bytes; pages are given back as soon as a tensor is written.

#include "core/prune/student_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/interrupt.h"
#include "core/io/json_reader.h"
#include "core/io/safetensors_writer.h"

namespace espalier::prune {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 3> kOutputProjections = {"attn1.to_out.0.", "attn2.to_out.0.", "ff.net.2."};
constexpr const char *kPlanFile = "plan.toml", *kOriginFile = "origin.json";
constexpr size_t kZeroChunk = size_t{1} << 20;

/// Paths of the padded transformer blocks.
std::vector<std::string> padded_blocks(const model::BlockTree& tree) {
  std::vector<std::string> paths;
  const auto add = [&](const std::string& module, const std::optional<model::Attention>& attention) {
    if (!attention) return;
    for (size_t b = 0; b < attention->blocks.size(); ++b)
      if (attention->blocks[b].padded) paths.push_back(fmt::format("{}.transformer_blocks.{}", module, b));
  };
  for (size_t i = 0; i < tree.down.size(); ++i)
    for (size_t l = 0; l < tree.down[i].layers.size(); ++l)
      add(fmt::format("down_blocks.{}.attentions.{}", i, l), tree.down[i].layers[l].attention);
  if (tree.mid) add("mid_block.attentions.0", tree.mid->attention);
  for (size_t i = 0; i < tree.up.size(); ++i)
    for (size_t l = 0; l < tree.up[i].layers.size(); ++l)
      add(fmt::format("up_blocks.{}.attentions.{}", i, l), tree.up[i].layers[l].attention);
  return paths;
}

void append_zeros(io::SafetensorsWriter& writer, uint64_t bytes) {
  const std::vector<std::byte> zeros(static_cast<size_t>(std::min<uint64_t>(bytes, kZeroChunk)));
  for (uint64_t left = bytes; left > 0;) {
    const auto part = static_cast<size_t>(std::min<uint64_t>(left, zeros.size()));
    writer.append(std::span(zeros).first(part));
    left -= part;
  }
}

void write_weights(const model::Model& teacher, const model::BlockTree& student, const fs::path& file,
                   const WriteProgress& progress) {
  const std::vector<std::string> zeroed_list = zeroed_tensors(student);
  const std::set<std::string> zeroed(zeroed_list.begin(), zeroed_list.end());
  const std::vector<model::TensorSpec> specs = model::tensor_specs(student);
  std::vector<io::TensorDecl> decls;
  uint64_t total = 0, done = 0;
  for (const model::TensorSpec& spec : specs) {
    decls.push_back({spec.name, {teacher.weights->get(spec.origin).type.dtype, spec.shape}});
    total += decls.back().type.bytes();
  }
  io::SafetensorsWriter writer(file, decls, {{"format", "pt"}});
  for (size_t i = 0; i < specs.size(); ++i) {
    check_interrupt();
    if (zeroed.count(specs[i].name) > 0) {
      append_zeros(writer, decls[i].type.bytes());
    } else {
      writer.write(specs[i].name, teacher.weights->get(specs[i].origin));
      teacher.weights->drop_pages(specs[i].origin);
    }
    done += decls[i].type.bytes();
    if (progress) progress(done, total);
  }
  writer.finish();
}

}  // namespace

bool is_output_projection(const std::string& tensor) {
  return std::any_of(kOutputProjections.begin(), kOutputProjections.end(),
                     [&](std::string_view part) { return tensor.find("." + std::string(part)) != std::string::npos; });
}

std::vector<std::string> zeroed_tensors(const model::BlockTree& tree) {
  const std::vector<std::string> blocks = padded_blocks(tree);
  std::vector<std::string> names;
  for (const model::TensorSpec& spec : model::tensor_specs(tree)) {
    const bool padded =
        std::any_of(blocks.begin(), blocks.end(), [&](const std::string& b) { return spec.name.rfind(b + ".", 0) == 0; });
    if (padded && is_output_projection(spec.name)) names.push_back(spec.name);
  }
  return names;
}

OriginMap origin_map(const model::BlockTree& teacher, const model::BlockTree& student) {
  OriginMap map{model::structure_hash(teacher.config), {}};
  const std::vector<std::string> zeroed_list = zeroed_tensors(student);
  const std::set<std::string> zeroed(zeroed_list.begin(), zeroed_list.end());
  for (const model::TensorSpec& spec : model::tensor_specs(student))
    if (zeroed.count(spec.name) == 0) map.tensors.emplace(spec.name, spec.origin);
  return map;
}

std::string write_origins(const OriginMap& map) {
  std::string text = fmt::format("{{\n  \"teacher\": \"{}\",\n  \"tensors\": {{", map.teacher);
  bool first = true;
  for (const auto& [student, teacher] : map.tensors) {  // tensor names need no escapes: they are module paths
    text += fmt::format("{}\n    \"{}\": \"{}\"", first ? "" : ",", student, teacher);
    first = false;
  }
  return text + "\n  }\n}\n";
}

OriginMap read_origins(const fs::path& file) {
  const io::JsonValue root = io::parse_json(read_text(file), file.string());
  ErrorList errors;
  OriginMap map;
  const io::JsonValue *teacher = root.find("teacher"), *tensors = root.find("tensors");
  if (teacher == nullptr || !teacher->is_string())
    errors.add(fmt::format("{}: 'teacher' must be the teacher's structure hash", root.place(file.string())));
  else
    map.teacher = teacher->as_string();
  if (tensors == nullptr || !tensors->is_object())
    errors.add(fmt::format("{}: 'tensors' must map each student tensor to its teacher tensor", root.place(file.string())));
  else
    for (const auto& [name, origin] : tensors->members())
      if (origin.is_string())
        map.tensors.emplace(name, origin.as_string());
      else
        errors.add(fmt::format("{}: the origin of '{}' must be a tensor name", origin.place(file.string()), name));
  errors.throw_if_any();
  return map;
}

uint64_t bytes_beside_unet(const model::Model& model) {
  uint64_t bytes = 0;
  std::error_code fault;  // a file that cannot be read is an error when it is copied
  for (const fs::path& file : model.rest.files)
    if (const uintmax_t size = fs::file_size(model.rest.root / file, fault); !fault) bytes += size;
  for (const std::string& name : model.rest.tensors) bytes += model.file->raw(name).bytes.size();
  return bytes;
}

void copy_beside_unet(const model::Model& model, const fs::path& to, const std::vector<std::string>& leave) {
  std::error_code fault;
  for (const fs::path& file : model.rest.files) {
    if (std::find(leave.begin(), leave.end(), file.string()) != leave.end()) continue;
    check_interrupt();
    fs::create_directories((to / file).parent_path(), fault);
    // Links are followed: a pipeline in a download cache is nothing but links to blobs.
    if (!fault) fs::copy_file(model.rest.root / file, to / file, fault);
    if (fault)
      throw UserError(fmt::format("{}: cannot copy it beside the UNet: {}", (model.rest.root / file).string(), fault.message()));
  }
  if (model.rest.tensors.empty()) return;
  const io::TensorSource& checkpoint = *model.file;
  std::vector<io::TensorDecl> decls;
  for (const std::string& name : model.rest.tensors) decls.push_back(io::passed_on(name, checkpoint.raw(name)));
  io::SafetensorsWriter writer(to / kRestFile, decls);
  for (const std::string& name : model.rest.tensors) {
    check_interrupt();
    writer.pass_on(name, checkpoint.raw(name));
    checkpoint.drop_pages(name);
  }
  writer.finish();
}

void write_student(const model::Model& teacher, const model::BlockTree& student, const RemovalPlan& plan, const fs::path& out,
                   const WriteProgress& progress, const std::map<std::string, std::string>& artifacts) {
  const InterruptGuard guard;
  uint64_t bytes = bytes_beside_unet(teacher);
  if (teacher.has_weights())
    for (const model::TensorSpec& spec : model::tensor_specs(student)) bytes += teacher.weights->get(spec.origin).type.bytes();
  AtomicFolder folder(out, bytes);
  const fs::path unet = folder.path() / "unet";
  fs::create_directories(unet);
  write_text(unet / "config.json", model::write_config(model::config_of(student)));
  if (teacher.has_weights()) write_weights(teacher, student, unet / "diffusion_pytorch_model.safetensors", progress);
  write_text(folder.path() / kPlanFile, write_plan(plan));
  write_text(folder.path() / kOriginFile, write_origins(origin_map(teacher.tree, student)));
  for (const auto& [name, made] : artifacts) {
    fs::create_directories(folder.path() / "artifacts");
    write_text(folder.path() / "artifacts" / name, made);
  }
  copy_beside_unet(teacher, folder.path(), {kPlanFile, kOriginFile, "artifacts"});  // of a teacher that is itself a student
  folder.publish();
}

}  // namespace espalier::prune
