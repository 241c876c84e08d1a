#pragma once
// A small strict JSON reader (RFC 8259, UTF-8 without byte-order mark), for input that nobody vouches for: bounded depth, no
// recursion, exact places. `JsonReader` pulls events; `parse_json` makes a tree.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace espalier::io {

struct JsonLimits {
  uint64_t max_bytes = uint64_t{16} << 20;
  uint64_t max_values = 50'000;  // of a tree; a reader has no such limit
  int max_depth = 64;
};

/// What is wrong at which byte. Thrown by JsonReader only; callers turn it into a UserError with file and place.
struct JsonFault {
  enum class Kind { kSyntax, kUtf8, kDepth, kTooLarge } kind;
  uint64_t offset;
  std::string what;
};

/// Pulls one event after the other from `text`, checking the grammar. Accepts exactly one value and white space around.
class JsonReader {
 public:
  enum class Event { kBeginObject, kEndObject, kBeginArray, kEndArray, kKey, kString, kNumber, kTrue, kFalse, kNull, kEnd };
  explicit JsonReader(std::string_view text, int max_depth = 64);

  /// Errors: JsonFault. After kEnd no further call is allowed.
  Event next();
  /// Where the last event begins.
  uint64_t offset() const { return offset_; }
  /// Decoded text of the last kKey or kString; valid until the next call.
  std::string_view text() const { return text_; }
  /// The number as it is written; valid as long as the input.
  std::string_view number() const { return number_; }
  /// Skips the rest of the value whose first event was just returned.
  void skip();

 private:
  enum class Expect { kValue, kFirstMember, kKey, kFirstElement, kCommaOrEnd, kNothing };
  void skip_space();
  Event value();
  Event key();
  Event open(bool object);
  Event close();
  Event done(Event event);
  Event word(std::string_view expected, Event event);
  void read_string();
  void read_escape();
  unsigned read_hex4();
  void read_number();
  void check_utf8();
  std::string found() const;
  [[noreturn]] void fail(std::string what, uint64_t at, JsonFault::Kind kind = JsonFault::Kind::kSyntax) const;

  std::string_view input_, number_, text_;
  std::string decoded_;
  std::vector<bool> stack_;  // true: object
  Expect expect_ = Expect::kValue;
  Event last_ = Event::kNull;
  uint64_t at_ = 0, offset_ = 0;
  int max_depth_;
};

/// One value of a tree. Objects keep the order of their members; a duplicate key never gets this far.
class JsonValue {
 public:
  enum class Kind { kNull, kBool, kInt, kDouble, kString, kArray, kObject };
  using Member = std::pair<std::string, JsonValue>;

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::kNull; }
  bool is_bool() const { return kind_ == Kind::kBool; }
  bool is_int() const { return kind_ == Kind::kInt; }
  bool is_number() const { return kind_ == Kind::kInt || kind_ == Kind::kDouble; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_array() const { return kind_ == Kind::kArray; }
  bool is_object() const { return kind_ == Kind::kObject; }

  // Each asks for its own kind first; another kind is a programmer's error.
  bool as_bool() const;
  int64_t as_int() const;    // kInt: written without fraction and exponent, fits int64
  double as_double() const;  // kInt or kDouble; always finite
  const std::string& as_string() const;
  const std::vector<JsonValue>& elements() const;  // kArray
  const std::vector<Member>& members() const;      // kObject

  /// The member of that name, or null when absent or not an object.
  const JsonValue* find(std::string_view key) const;
  /// Byte offset of the value's first character.
  uint64_t offset() const { return offset_; }
  int line() const { return line_; }      // from 1
  int column() const { return column_; }  // from 1, in bytes
  /// "file:line:column", for messages.
  std::string place(std::string_view file) const;
  /// "a string", "null", "an array": what messages call it.
  std::string_view kind_name() const;

 private:
  friend class JsonTreeBuilder;
  Kind kind_ = Kind::kNull;
  int line_ = 0, column_ = 0;
  uint64_t offset_ = 0;
  std::variant<std::monostate, bool, int64_t, double, std::string, std::vector<JsonValue>, std::vector<Member>> value_;
};

/// The tree of `text`. Errors: UserError "file:line:column: what" for anything that strict JSON does not have, duplicate
/// keys (compared decoded), numbers beyond double's range, and everything over `limits`.
JsonValue parse_json(std::string_view text, std::string_view file, const JsonLimits& limits = {});

}  // namespace espalier::io
