#include "plugins/node_view.h"

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

}  // namespace

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
