#include "plugins/node_view.h"

#include "core/base/error.h"
#include "core/base/text.h"
#include "plugins/host.h"

namespace espalier::plugins {
namespace {

esp_attr attr_of(const std::string& name, const AttrValue& value) {
  esp_attr attr{};
  attr.name = to_esp(std::string_view(name));
  attr.kind = static_cast<int32_t>(kind_of(value));
  if (const auto* v = std::get_if<int64_t>(&value)) attr.int_value = *v;
  if (const auto* v = std::get_if<double>(&value)) attr.float_value = *v;
  if (const auto* v = std::get_if<bool>(&value)) attr.int_value = *v ? 1 : 0;
  if (const auto* v = std::get_if<std::string>(&value)) attr.string_value = to_esp(std::string_view(*v));
  if (const auto* v = std::get_if<std::vector<int64_t>>(&value)) attr.ints = v->data(), attr.count = v->size();
  if (const auto* v = std::get_if<std::vector<double>>(&value)) attr.floats = v->data(), attr.count = v->size();
  return attr;
}

AttrValue value_of(const esp_attr& attr) {
  const auto need = [&](const void* list) {
    if (attr.count > 4096 || (attr.count > 0 && list == nullptr))
      throw UserError("attribute '" + printable(view(attr.name)) + "' has " + std::to_string(attr.count) + " elements" +
                      (list == nullptr ? " at null" : ", at most 4096 are allowed"));
  };
  switch (attr.kind) {
    case ESP_ATTR_INT:
      return attr.int_value;
    case ESP_ATTR_FLOAT:
      return attr.float_value;
    case ESP_ATTR_BOOL:
      return attr.int_value != 0;
    case ESP_ATTR_STRING:
      return std::string(view(attr.string_value));
    case ESP_ATTR_INTS:
      need(attr.ints);
      return std::vector<int64_t>(attr.ints, attr.ints + attr.count);
    case ESP_ATTR_FLOATS:
      need(attr.floats);
      return std::vector<double>(attr.floats, attr.floats + attr.count);
    default:
      throw UserError("attribute '" + printable(view(attr.name)) + "' is of unknown kind " + std::to_string(attr.kind));
  }
}

}  // namespace

Attrs attrs_of(std::span<const esp_attr> attrs) {
  Attrs out;
  for (const esp_attr& attr : attrs) out.set(std::string(view(attr.name)), value_of(attr));
  return out;
}

NodeView::NodeView(const OpCall& call, const std::string& path, const std::vector<bool>& is_param) {
  for (const TensorType& type : call.inputs) inputs_.push_back(to_esp(type));
  for (const TensorType& type : call.results) outputs_.push_back(to_esp(type));
  for (size_t i = 0; i < call.inputs.size(); ++i) is_param_.push_back(i < is_param.size() && is_param[i] ? 1 : 0);
  for (const auto& [name, value] : call.attrs.entries()) attrs_.push_back(attr_of(name, value));
  node_.struct_size = sizeof(esp_node);
  node_.op = to_esp(*call.op->name);
  node_.path = to_esp(std::string_view(path));
  node_.inputs = inputs_.data();
  node_.input_is_param = is_param_.data();
  node_.input_count = inputs_.size();
  node_.outputs = outputs_.data();
  node_.output_count = outputs_.size();
  node_.attrs = attrs_.data();
  node_.attr_count = attrs_.size();
}

}  // namespace espalier::plugins
