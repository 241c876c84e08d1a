// A field is either read by parse_config (listed in kRead) or held at its default (listed in kInert); everything else is
// refused, because a structural field that is ignored is a model that computes something else.

#include "core/model/config_fields.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/text.h"

namespace espalier::model {
namespace {

constexpr std::string_view kRead[] = {"sample_size",
                                      "in_channels",
                                      "out_channels",
                                      "flip_sin_to_cos",
                                      "freq_shift",
                                      "down_block_types",
                                      "mid_block_type",
                                      "up_block_types",
                                      "block_out_channels",
                                      "layers_per_block",
                                      "downsample_padding",
                                      "norm_num_groups",
                                      "norm_eps",
                                      "cross_attention_dim",
                                      "transformer_layers_per_block",
                                      "reverse_transformer_layers_per_block",
                                      "attention_head_dim",
                                      "use_linear_projection",
                                      "addition_embed_type",
                                      "addition_time_embed_dim",
                                      "projection_class_embeddings_input_dim",
                                      "upcast_attention",
                                      "time_embedding_dim"};

/// A field that diffusers knows, the values (as JSON text) at which it changes nothing, and a word on others.
struct Inert {
  std::string_view name;
  std::vector<std::string_view> accepted;
  std::string_view hint = "";
};

const std::vector<Inert>& inert_fields() {
  static const std::vector<Inert> fields = {
      {"center_input_sample", {"false"}},
      {"only_cross_attention", {"false"}},
      {"mid_block_scale_factor", {"1"}},
      {"dropout", {"0"}},
      {"act_fn", {"\"silu\"", "\"swish\""}},
      {"encoder_hid_dim", {"null"}},
      {"encoder_hid_dim_type", {"null"}},
      {"num_attention_heads", {"null"}, "; diffusers refuses it too: give the number of heads as attention_head_dim"},
      {"dual_cross_attention", {"false"}},
      {"class_embed_type", {"null"}},
      {"num_class_embeds", {"null"}},
      {"resnet_time_scale_shift", {"\"default\""}},
      {"resnet_skip_time_act", {"false"}},
      {"resnet_out_scale_factor", {"1"}},
      {"time_embedding_type", {"\"positional\""}},
      {"time_embedding_act_fn", {"null"}},
      {"timestep_post_act", {"null"}},
      {"time_cond_proj_dim", {"null"}},
      {"conv_in_kernel", {"3"}},
      {"conv_out_kernel", {"3"}},
      {"attention_type", {"\"default\""}},
      {"class_embeddings_concat", {"false"}},
      {"mid_block_only_cross_attention", {"null", "false"}},
      {"cross_attention_norm", {"null"}},
      {"addition_embed_type_num_heads", {"64"}},
  };
  return fields;
}

/// Whether every element of a (possibly one-element) value reads as one of `accepted`: [false, false] is false.
bool accepted_value(const Inert& field, const io::JsonValue& value) {
  if (value.is_array() && field.name == "only_cross_attention")
    return std::all_of(value.elements().begin(), value.elements().end(),
                       [&](const io::JsonValue& e) { return accepted_value(field, e); });
  const std::string text = shown(value);
  return std::find(field.accepted.begin(), field.accepted.end(), text) != field.accepted.end();
}

}  // namespace

std::string shown(const io::JsonValue& value) {
  using Kind = io::JsonValue::Kind;
  switch (value.kind()) {
    case Kind::kNull:
      return "null";
    case Kind::kBool:
      return value.as_bool() ? "true" : "false";
    case Kind::kInt:
      return std::to_string(value.as_int());
    case Kind::kDouble:
      return fmt::format("{:g}", value.as_double());
    case Kind::kString:
      return "\"" + printable(value.as_string(), 60) + "\"";
    case Kind::kArray:
      return "a list";
    case Kind::kObject:
      return "an object";
  }
  internal_error("unknown JSON kind");
}

const std::vector<std::string>& known_fields() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all(std::begin(kRead), std::end(kRead));
    for (const Inert& field : inert_fields()) all.emplace_back(field.name);
    return all;
  }();
  return names;
}

void check_inert_fields(const io::JsonValue& object, std::string_view file, ErrorList& errors) {
  for (const auto& [name, value] : object.members()) {
    if (name.starts_with('_')) continue;
    const auto& names = known_fields();
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      errors.add(fmt::format("{}: unknown field '{}'{}", value.place(file), printable(name, 80), did_you_mean(name, names)));
      continue;
    }
    for (const Inert& field : inert_fields()) {
      if (field.name != name || accepted_value(field, value)) continue;
      errors.add(fmt::format("{}: '{}' is {}, but only {} is implemented{}", value.place(file), name, shown(value),
                             field.accepted.front(), field.hint));
    }
  }
}

bool FieldReader::given(std::string_view name) const {
  const io::JsonValue* value = object_.find(name);
  return value != nullptr && !value->is_null();
}

void FieldReader::fault_at(const io::JsonValue& value, std::string_view message) {
  errors_.add(fmt::format("{}: {}", value.place(file_), message));
}

void FieldReader::fault(std::string_view name, std::string_view message) {
  const io::JsonValue* value = object_.find(name);
  fault_at(value != nullptr ? *value : object_, message);
}

void FieldReader::wrong_kind(std::string_view name, const io::JsonValue& value, std::string_view wanted) {
  fault_at(value, fmt::format("'{}' must be {}, not {}", name, wanted, value.kind_name()));
}

std::optional<int64_t> FieldReader::checked(std::string_view name, const io::JsonValue& value, int64_t low, int64_t high) {
  if (!value.is_int()) {
    wrong_kind(name, value, "an integer");
    return std::nullopt;
  }
  if (value.as_int() < low || value.as_int() > high) {
    fault_at(value, fmt::format("'{}' must be {} to {}, not {}", name, low, high, value.as_int()));
    return std::nullopt;
  }
  return value.as_int();
}

std::optional<int64_t> FieldReader::integer(std::string_view name, int64_t low, int64_t high) {
  const io::JsonValue* value = object_.find(name);
  return value == nullptr ? std::nullopt : checked(name, *value, low, high);
}

std::optional<double> FieldReader::number(std::string_view name) {
  const io::JsonValue* value = object_.find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) return value->as_double();
  wrong_kind(name, *value, "a number");
  return std::nullopt;
}

std::optional<bool> FieldReader::boolean(std::string_view name) {
  const io::JsonValue* value = object_.find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_bool()) return value->as_bool();
  wrong_kind(name, *value, "true or false");
  return std::nullopt;
}

std::optional<std::string> FieldReader::string(std::string_view name) {
  const io::JsonValue* value = object_.find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return value->as_string();
  wrong_kind(name, *value, "a string");
  return std::nullopt;
}

std::optional<std::vector<std::string>> FieldReader::strings(std::string_view name) {
  const io::JsonValue* value = object_.find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array()) {
    wrong_kind(name, *value, "a list of strings");
    return std::nullopt;
  }
  std::vector<std::string> out;
  for (const io::JsonValue& element : value->elements()) {
    if (!element.is_string()) {
      wrong_kind(name, element, "a list of strings");
      return std::nullopt;
    }
    out.push_back(element.as_string());
  }
  return out;
}

std::optional<std::vector<int64_t>> FieldReader::integers(std::string_view name, int64_t low, int64_t high) {
  const io::JsonValue* value = object_.find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array()) {
    wrong_kind(name, *value, "a list of integers");
    return std::nullopt;
  }
  std::vector<int64_t> out;
  for (const io::JsonValue& element : value->elements()) {
    const auto entry = checked(name, element, low, high);
    if (!entry) return std::nullopt;
    out.push_back(*entry);
  }
  return out;
}

std::optional<std::vector<int64_t>> FieldReader::per_stage(std::string_view name, size_t count, int64_t low, int64_t high) {
  const io::JsonValue* value = object_.find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array()) {
    if (!value->is_int()) {
      wrong_kind(name, *value, "an integer or a list of integers");
      return std::nullopt;
    }
    const auto entry = checked(name, *value, low, high);
    return entry ? std::optional(std::vector<int64_t>(count, *entry)) : std::nullopt;
  }
  auto list = integers(name, low, high);
  if (list && list->size() != count) {
    fault_at(*value, fmt::format("'{}' has {} entries for {} stages", name, list->size(), count));
    return std::nullopt;
  }
  return list;
}

std::optional<std::vector<DepthEntry>> FieldReader::depths(std::string_view name, size_t count, int64_t high, bool list_only) {
  const io::JsonValue* value = object_.find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_int() && !list_only) {
    const auto depth = checked(name, *value, 0, high);
    return depth ? std::optional(std::vector<DepthEntry>(count, DepthEntry{false, {*depth}})) : std::nullopt;
  }
  if (!value->is_array()) {
    wrong_kind(name, *value, list_only ? "null or a list" : "an integer or a list");
    return std::nullopt;
  }
  std::vector<DepthEntry> out;
  bool good = true;
  for (const io::JsonValue& entry : value->elements()) {
    DepthEntry row{entry.is_array(), {}};
    if (entry.is_array()) {
      for (const io::JsonValue& depth : entry.elements()) {
        const auto checked_depth = checked(name, depth, 0, high);
        good = good && checked_depth.has_value();
        row.depths.push_back(checked_depth.value_or(0));
      }
    } else {
      const auto checked_depth = checked(name, entry, 0, high);
      good = good && checked_depth.has_value();
      row.depths.push_back(checked_depth.value_or(0));
    }
    out.push_back(std::move(row));
  }
  if (out.size() != count) {
    fault_at(*value, fmt::format("'{}' has {} entries for {} stages", name, out.size(), count));
    return std::nullopt;
  }
  return good ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace espalier::model
