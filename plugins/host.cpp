#include "plugins/host.h"

#include <cstring>

#include "core/base/log.h"
#include "core/base/rng.h"
#include "core/base/text.h"
#include "core/io/memory_source.h"

namespace espalier::plugins {
namespace {

constexpr size_t kMaxErrorText = 4096;  // bytes of a plugin's message that are kept

std::string& error_sink() {
  thread_local std::string text;
  return text;
}

void set_error(void*, esp_str text) { fail(view(text)); }

void write_log(void*, int32_t level, esp_str text) {
  contained([&] {
    const std::string line = printable(view(text), kMaxErrorText);
    if (level >= ESP_LOG_WARNING)
      log::warning(log::Category::kPlugin, line);
    else if (level == ESP_LOG_INFO)
      log::info(log::Category::kPlugin, line);
    else
      log::debug(log::Category::kPlugin, line);
  });
}

const void* get_interface(void*, esp_str id, uint64_t min_size) {
  static const esp_rng table{sizeof(esp_rng), 0, rng::bits, rng::uniform, rng::normal};
  if (view(id) == ESP_RNG_INTERFACE && min_size <= sizeof(esp_rng)) return &table;
  return nullptr;
}

}  // namespace

const esp_host* host_table() {
  static const esp_host table{sizeof(esp_host), ESP_ABI_MINOR, nullptr, set_error, write_log, get_interface};
  return &table;
}

esp_status fail(std::string_view text) noexcept {
  try {
    error_sink().assign(text);
    return ESP_INVALID_ARGUMENT;
  } catch (...) {
    return ESP_OUT_OF_MEMORY;
  }
}

std::string plugin_error() { return printable(error_sink(), kMaxErrorText); }
void clear_plugin_error() { error_sink().clear(); }

std::string status_text(esp_status status) {
  switch (status) {
    case ESP_OK:
      return "ok";
    case ESP_FAILED:
      return "failed";
    case ESP_UNSUPPORTED:
      return "unsupported";
    case ESP_INVALID_ARGUMENT:
      return "invalid argument";
    case ESP_OUT_OF_MEMORY:
      return "out of memory";
    case ESP_CANCELLED:
      return "cancelled";
    default:
      return "status " + std::to_string(status);
  }
}

void throw_status(const std::string& who, const std::string& call, esp_status status) {
  const std::string said = plugin_error();
  const std::string text = "[" + who + "] " + (said.empty() ? call + ": " + status_text(status) : said);
  if (status == ESP_UNSUPPORTED || status == ESP_INVALID_ARGUMENT) throw UserError(text);
  throw Error(text);
}

esp_tensor_type to_esp(const TensorType& type) {
  esp_tensor_type out{};
  out.dtype = static_cast<int32_t>(type.dtype);
  out.rank = type.present() ? type.shape.rank() : 0;
  for (int i = 0; i < out.rank; ++i) out.dims[i] = type.shape[i];
  return out;
}

WeightsTable::WeightsTable(io::TensorSourcePtr source) : source_(std::move(source)) {
  table_ = {sizeof(esp_weights), source_ != nullptr, this, count, describe, read_f32};
}

const std::vector<const std::string*>& WeightsTable::under(std::string_view path) {
  if (cached_ && cached_path_ == path) return cached_names_;
  cached_names_.clear();
  const std::string prefix = std::string(path) + ".";
  if (source_ != nullptr)
    for (const std::string& name : source_->names())
      if (path.empty() || name == path || name.compare(0, prefix.size(), prefix) == 0) cached_names_.push_back(&name);
  cached_path_ = path;
  cached_ = true;
  return cached_names_;
}

uint64_t WeightsTable::count(void* ctx, esp_str path) {
  uint64_t count = 0;
  contained([&] { count = static_cast<WeightsTable*>(ctx)->under(view(path)).size(); });
  return count;
}

esp_status WeightsTable::describe(void* ctx, esp_str path, uint64_t index, esp_str* name, esp_tensor_type* type) {
  return contained([&] {
    auto& self = *static_cast<WeightsTable*>(ctx);
    const std::vector<const std::string*>& names = self.under(view(path));
    if (index >= names.size())
      return fail("weights: '" + std::string(view(path)) + "' has " + std::to_string(names.size()) +
                  " tensors, asked for number " + std::to_string(index));
    *type = to_esp(self.source_->get(*names[index]).type);
    *name = to_esp(*names[index]);
    return esp_status{ESP_OK};
  });
}

esp_status WeightsTable::read_f32(void* ctx, esp_str name, float* out, uint64_t capacity) {
  return contained([&] {
    auto& self = *static_cast<WeightsTable*>(ctx);
    if (self.source_ == nullptr) return fail("weights: the model has none (a lone config)");
    const io::TensorRef tensor = self.source_->get(view(name));
    const auto elements = static_cast<uint64_t>(tensor.type.shape.elements());
    if (capacity != elements)
      return fail("weights: '" + std::string(view(name)) + "' has " + std::to_string(elements) + " elements, room for " +
                  std::to_string(capacity));
    const std::vector<float> values = io::read_f32(tensor);
    std::memcpy(out, values.data(), values.size() * sizeof(float));
    return esp_status{ESP_OK};
  });
}

}  // namespace espalier::plugins
