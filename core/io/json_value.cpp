#include <charconv>
#include <unordered_set>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/io/json_reader.h"

// The tree over JsonReader. Open values are a stack of pointers: only the innermost vector grows while it is open, so the
// pointers to those around it stay valid.

namespace espalier::io {

class JsonTreeBuilder {
 public:
  JsonTreeBuilder(std::string_view text, const JsonLimits& limits)
      : text_(text), limits_(limits), reader_(text, limits.max_depth) {}

  JsonValue build() {
    JsonValue root;
    fill(root, reader_.next());
    while (!open_.empty()) {
      const JsonReader::Event event = reader_.next();
      JsonValue& outer = *open_.back().value;
      if (event == JsonReader::Event::kEndObject || event == JsonReader::Event::kEndArray) {
        open_.pop_back();
      } else if (event == JsonReader::Event::kKey) {
        if (!open_.back().keys.emplace(reader_.text()).second)
          throw JsonFault{JsonFault::Kind::kSyntax, reader_.offset(), "duplicate key '" + printable(reader_.text()) + "'"};
        auto& members = std::get<std::vector<JsonValue::Member>>(outer.value_);
        members.emplace_back(std::string(reader_.text()), JsonValue());
        fill(members.back().second, reader_.next());
      } else {
        auto& elements = std::get<std::vector<JsonValue>>(outer.value_);
        elements.emplace_back();
        fill(elements.back(), event);
      }
    }
    reader_.next();
    return root;
  }

 private:
  struct Open {
    JsonValue* value;
    std::unordered_set<std::string> keys;
  };

  void fill(JsonValue& value, JsonReader::Event event) {
    using Event = JsonReader::Event;
    using Kind = JsonValue::Kind;
    const uint64_t offset = reader_.offset();
    if (++count_ > limits_.max_values)
      throw JsonFault{JsonFault::Kind::kTooLarge, offset,
                      "more than " + with_commas(static_cast<int64_t>(limits_.max_values)) + " values"};
    for (; scanned_ < offset; ++scanned_)
      if (text_[scanned_] == '\n') ++line_, line_begin_ = scanned_ + 1;
    value.offset_ = offset;
    value.line_ = line_;
    value.column_ = static_cast<int>(offset - line_begin_ + 1);
    if (event == Event::kBeginObject) {
      value.kind_ = Kind::kObject;
      value.value_.emplace<std::vector<JsonValue::Member>>();
      open_.push_back({&value, {}});
    } else if (event == Event::kBeginArray) {
      value.kind_ = Kind::kArray;
      value.value_.emplace<std::vector<JsonValue>>();
      open_.push_back({&value, {}});
    } else if (event == Event::kString) {
      value.kind_ = Kind::kString;
      value.value_ = std::string(reader_.text());
    } else if (event == Event::kTrue || event == Event::kFalse) {
      value.kind_ = Kind::kBool;
      value.value_ = event == Event::kTrue;
    } else if (event == Event::kNumber) {
      number(value);
    }
  }

  void number(JsonValue& value) const {
    const std::string_view written = reader_.number();
    const char* last = written.data() + written.size();
    int64_t integer = 0;
    if (const auto [stop, fault] = std::from_chars(written.data(), last, integer); fault == std::errc() && stop == last) {
      value.kind_ = JsonValue::Kind::kInt;
      value.value_ = integer;
      return;
    }
    double real = 0;
    if (std::from_chars(written.data(), last, real).ec != std::errc())
      throw JsonFault{JsonFault::Kind::kSyntax, reader_.offset(),
                      "the number " + printable(written, 24) + " is outside the range of a double"};
    value.kind_ = JsonValue::Kind::kDouble;
    value.value_ = real;
  }

  std::string_view text_;
  JsonLimits limits_;
  JsonReader reader_;
  std::vector<Open> open_;
  uint64_t count_ = 0, scanned_ = 0, line_begin_ = 0;
  int line_ = 1;
};

bool JsonValue::as_bool() const {
  ESP_CHECK(is_bool());
  return std::get<bool>(value_);
}

int64_t JsonValue::as_int() const {
  ESP_CHECK(is_int());
  return std::get<int64_t>(value_);
}

double JsonValue::as_double() const {
  ESP_CHECK(is_number());
  return is_int() ? static_cast<double>(std::get<int64_t>(value_)) : std::get<double>(value_);
}

const std::string& JsonValue::as_string() const {
  ESP_CHECK(is_string());
  return std::get<std::string>(value_);
}

const std::vector<JsonValue>& JsonValue::elements() const {
  ESP_CHECK(is_array());
  return std::get<std::vector<JsonValue>>(value_);
}

const std::vector<JsonValue::Member>& JsonValue::members() const {
  ESP_CHECK(is_object());
  return std::get<std::vector<Member>>(value_);
}

const JsonValue* JsonValue::find(std::string_view key) const {
  if (!is_object()) return nullptr;
  for (const auto& [name, value] : members())
    if (name == key) return &value;
  return nullptr;
}

std::string JsonValue::place(std::string_view file) const {
  return std::string(file) + ":" + std::to_string(line_) + ":" + std::to_string(column_);
}

std::string_view JsonValue::kind_name() const {
  switch (kind_) {
    case Kind::kNull:
      return "null";
    case Kind::kBool:
      return "a boolean";
    case Kind::kInt:
      return "an integer";
    case Kind::kDouble:
      return "a number";
    case Kind::kString:
      return "a string";
    case Kind::kArray:
      return "an array";
    case Kind::kObject:
      return "an object";
  }
  return "a value";
}

JsonValue parse_json(std::string_view text, std::string_view file, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes)
    throw UserError(std::string(file) + ": has " + human_bytes(text.size()) + ", the limit for such a file is " +
                    human_bytes(limits.max_bytes));
  try {
    return JsonTreeBuilder(text, limits).build();
  } catch (const JsonFault& fault) {
    uint64_t line = 1, line_begin = 0;
    for (uint64_t i = 0; i < fault.offset && i < text.size(); ++i)
      if (text[i] == '\n') ++line, line_begin = i + 1;
    throw UserError(std::string(file) + ":" + std::to_string(line) + ":" + std::to_string(fault.offset - line_begin + 1) + ": " +
                    fault.what);
  }
}

}  // namespace espalier::io
