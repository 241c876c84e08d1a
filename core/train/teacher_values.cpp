#include "core/train/teacher_values.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

#include "core/base/error.h"
#include "core/base/half.h"
#include "core/base/lock_file.h"
#include "core/base/sha256.h"
#include "core/base/text.h"
#include "core/io/safetensors.h"
#include "core/io/safetensors_writer.h"
#include "core/train/fingerprint.h"

namespace espalier::train {
namespace {

namespace fs = std::filesystem;

constexpr auto kRest = std::chrono::milliseconds(1);
constexpr int kMostRests = 2000;  // for a lock that is held for microseconds

std::vector<io::TensorDecl> declared(const std::vector<distill::TeacherValue>& values, DType dtype) {
  std::vector<io::TensorDecl> tensors;
  for (const distill::TeacherValue& value : values) tensors.push_back({value.name, {dtype, value.type.shape}});
  return tensors;
}

/// What a file must hold besides its tensors; `print` is of their bytes.
std::map<std::string, std::string> metadata(const std::string& key, const BatchName& batch, const std::string& print) {
  return {{"format", "espalier teacher values 1"},
          {"key", key},
          {"batch", fmt::format("{} {}", batch.held_out ? "val" : "step", batch.index)},
          {"sha256", print}};
}

/// Errors: UserError when the file is not what `write` makes.
void read_file(const fs::path& file, const std::string& key, const BatchName& batch,
               const std::vector<distill::TeacherValue>& values, DType dtype, TeacherBuffers& to) {
  const std::map<std::string, std::string> said = io::read_metadata(file);
  const io::TensorSourcePtr source = io::open_safetensors(file);
  const std::vector<io::TensorDecl> wanted = declared(values, dtype);
  if (source->names().size() != wanted.size()) throw UserError("it has other tensors");
  Sha256 hash;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const io::TensorRef tensor = source->get(wanted[i].name);
    if (source->names()[i] != wanted[i].name || !(tensor.type == wanted[i].type)) throw UserError("it has other tensors");
    hash.update(tensor.bytes);
    const auto count = static_cast<size_t>(tensor.type.shape.elements());
    ESP_CHECK(to[i].size() == count);
    if (dtype == DType::kF16)
      f16_to_f32(tensor.bytes.data(), to[i].data(), count);
    else
      std::copy_n(tensor.bytes.data(), tensor.bytes.size(), reinterpret_cast<std::byte*>(to[i].data()));
  }
  if (said != metadata(key, batch, hash.hex())) throw UserError("its bytes are not those that were written");
}

}  // namespace

uint64_t bytes_kept(const fs::path& folder) {
  uint64_t sum = 0;
  std::error_code fault;
  for (fs::recursive_directory_iterator at(folder, fault), end; !fault && at != end; at.increment(fault))
    if (at->path().extension() == ".safetensors") {
      std::error_code gone;
      const uint64_t size = at->file_size(gone);
      sum += gone ? 0 : size;
    }
  return sum;
}

uint64_t bytes_of(const std::vector<distill::TeacherValue>& values, DType dtype) {
  uint64_t bytes = 0;
  for (const io::TensorDecl& tensor : declared(values, dtype)) bytes += tensor.bytes();
  return bytes;
}

fs::path TeacherFolder::file(const std::string& key, const BatchName& batch) const {
  return spec_.folder / key / fmt::format("{}-{:08}.safetensors", batch.held_out ? "val" : "step", batch.index);
}

/// Adds to the count of bytes, if the limit allows. A count that a killed process left half-written is made anew.
bool TeacherFolder::reserve(int64_t bytes) const {
  std::error_code refused;  // the lock will say why
  fs::create_directories(spec_.folder, refused);
  const fs::path lock = spec_.folder / "used.lock";
  std::optional<LockFile> held;
  for (int i = 0; !(held = LockFile::try_hold(lock)); ++i) {
    if (i == kMostRests) throw UserError("[" + lock.string() + "] another process holds it and does not go on");
    std::this_thread::sleep_for(kRest);
  }
  const fs::path count = spec_.folder / "used";
  std::ostringstream text;
  text << std::ifstream(count).rdbuf();
  const std::string said = text.str();
  uint64_t used = 0;
  const auto [end, fault] = std::from_chars(said.data(), said.data() + said.size(), used);
  if (fault != std::errc() || end == said.data() + said.size() || *end != '\n') used = bytes_kept(spec_.folder);
  const uint64_t now = bytes < 0 ? used - std::min(used, static_cast<uint64_t>(-bytes)) : used + static_cast<uint64_t>(bytes);
  if (bytes > 0 && now > spec_.limit_bytes) return false;
  std::ofstream(count, std::ios::trunc) << now << '\n';
  return true;
}

bool TeacherFolder::read(const std::string& key, const BatchName& batch, const std::vector<distill::TeacherValue>& values,
                         TeacherBuffers& to) {
  const fs::path from = file(key, batch);
  std::error_code fault;
  const uint64_t size = fs::file_size(from, fault);
  if (fault) return false;
  try {
    read_file(from, key, batch, values, spec_.dtype, to);
  } catch (const UserError& error) {
    if (!fs::exists(from, fault)) return false;
    say_(fmt::format("{}: damaged, and made anew ({})", from.string(), error.what()));
    if (fs::remove(from, fault)) give_back(size);
    return false;
  }
  ++read_;
  return true;
}

void TeacherFolder::write(const std::string& key, const BatchName& batch, const std::vector<distill::TeacherValue>& values,
                          const TeacherBuffers& from) {
  const fs::path to = file(key, batch);
  std::error_code ignored;
  if (closed_ || fs::exists(to, ignored)) return;
  std::vector<std::vector<std::byte>> halves;
  std::vector<std::span<const std::byte>> bytes;
  for (const std::vector<float>& each : from) {
    bytes.push_back(std::as_bytes(std::span(each)));
    if (spec_.dtype != DType::kF16) continue;
    f32_to_f16(each.data(), halves.emplace_back(each.size() * 2).data(), each.size());
    bytes.back() = halves.back();
  }
  Sha256 hash;
  for (const std::span<const std::byte> each : bytes) hash.update(each);
  const std::vector<io::TensorDecl> tensors = declared(values, spec_.dtype);
  const std::map<std::string, std::string> about = metadata(key, batch, hash.hex());
  const uint64_t size = io::safetensors_header(tensors, about).size() + bytes_of(values, spec_.dtype);
  bool reserved = false;
  try {
    if (!(reserved = reserve(static_cast<int64_t>(size)))) {
      closed_ = true;
      return say_(fmt::format("{}: full ({}); from here on the teacher's values are not kept", spec_.folder.string(),
                              human_bytes(spec_.limit_bytes)));
    }
    io::SafetensorsWriter writer(to, tensors, about, Existing::kRefuse);
    for (size_t i = 0; i < bytes.size(); ++i) writer.write(tensors[i].name, {tensors[i].type, bytes[i]});
    writer.finish();
    ++kept_;
  } catch (const UserError& error) {
    if (reserved) give_back(size);
    if (fs::exists(to, ignored)) return;  // another run was first
    closed_ = true;
    say_(fmt::format("the teacher's values are not kept from here on: {}", error.what()));
  }
}

/// What cannot be given back counts too much, which no run is harmed by.
void TeacherFolder::give_back(uint64_t bytes) const {
  try {
    reserve(-static_cast<int64_t>(bytes));
  } catch (const UserError&) {
  }
}

std::string TeacherFolder::tally() {
  if (read_ + computed == 0) return "";
  std::string text = fmt::format("the teacher's values of {} batches were read, of {} computed ({} kept{})", read_, computed,
                                 kept_, spec_.dtype == DType::kF16 ? "; all rounded to f16" : "");
  read_ = computed = kept_ = 0;
  return text;
}

std::string teacher_values_text(const Recipe& recipe, const std::map<std::string, std::string>& prints, size_t stage,
                                bool held_out) {
  std::string teacher = "teacher";
  for (size_t i = 0; i <= stage && i < recipe.stages.size(); ++i)
    if (recipe.stages[i].teacher) teacher = name_of_stage_teacher(i);
  const auto print = [&](const std::string& name) { return prints.contains(name) ? prints.at(name) : std::string("none"); };
  const toml::table whole = toml::parse(resolved_text(recipe));
  toml::table root;
  for (const char* table : {"data", "diffusion"})
    if (const toml::table* found = whole.get_as<toml::table>(table)) root.insert_or_assign(table, *found);
  std::ostringstream text;
  text << (held_out ? "held out" : "training") << "\nteacher " << print(teacher) << "\ndata " << print("data") << "\nbatch_size "
       << recipe.train.batch_size << '\n';
  if (!held_out) text << "seed " << recipe.train.seed << '\n';
  text << toml::toml_formatter(root) << '\n';
  return text.str();
}

}  // namespace espalier::train
