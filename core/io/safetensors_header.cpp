#include "core/io/safetensors_header.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/io/json_reader.h"

// Nothing is allocated by a number that the file claims: sizes are compared with the file's own length first. Products are
// checked without regard to the order of dimensions, so a zero cannot hide an overflow.

namespace espalier::io {
namespace {

using Event = JsonReader::Event;

constexpr std::array<SafetensorsDType, 22> kDTypes{{{"F64", 64, DType::kF64},
                                                    {"F32", 32, DType::kF32},
                                                    {"F16", 16, DType::kF16},
                                                    {"BF16", 16, DType::kBF16},
                                                    {"I64", 64, DType::kI64},
                                                    {"I32", 32, DType::kI32},
                                                    {"U8", 8, DType::kU8},
                                                    {"BOOL", 8, DType::kBool},
                                                    {"I16", 16, DType::kNone},
                                                    {"I8", 8, DType::kNone},
                                                    {"U16", 16, DType::kNone},
                                                    {"U32", 32, DType::kNone},
                                                    {"U64", 64, DType::kNone},
                                                    {"C64", 64, DType::kNone},
                                                    {"F8_E4M3", 8, DType::kNone},
                                                    {"F8_E5M2", 8, DType::kNone},
                                                    {"F8_E8M0", 8, DType::kNone},
                                                    {"F8_E4M3FNUZ", 8, DType::kNone},
                                                    {"F8_E5M2FNUZ", 8, DType::kNone},
                                                    {"F6_E2M3", 6, DType::kNone},
                                                    {"F6_E3M2", 6, DType::kNone},
                                                    {"F4", 4, DType::kNone}}};

bool multiply(uint64_t a, uint64_t b, uint64_t& product) { return !__builtin_mul_overflow(a, b, &product); }

std::string in_quotes(std::string_view name) { return "'" + printable(name) + "'"; }

class HeaderParser {
 public:
  HeaderParser(Header& header, uint64_t data_bytes, const std::string& file)
      : header_(header), file_(file), data_bytes_(data_bytes), reader_(header.text) {}

  void parse() {
    refuse_too_many();
    try {
      read_root();
    } catch (const JsonFault& fault) {
      throw UserError(at(fault.offset) + "the header is not valid JSON: " + fault.what + "; the file is damaged, get it again");
    }
    check_layout();
    if (unknown_fields_ > 0)
      header_.notes.push_back(file_ + ": " + with_commas(unknown_fields_) + " field" + (unknown_fields_ > 1 ? "s" : "") +
                              " that the format does not define (first: " + first_unknown_ + ")");
  }

 private:
  // "FILE: header byte N: ", N counted from the start of the file.
  std::string at(uint64_t header_offset) const { return file_ + ": header byte " + std::to_string(8 + header_offset) + ": "; }
  [[noreturn]] void fail(const std::string& what) const { throw UserError(at(reader_.offset()) + what); }

  std::string what_came(Event event) const {
    switch (event) {
      case Event::kString:
        return "the string '" + printable(reader_.text(), 40) + "'";
      case Event::kNumber:
        return printable(reader_.number(), 40);
      case Event::kBeginObject:
        return "an object";
      case Event::kBeginArray:
        return "an array";
      case Event::kTrue:
        return "true";
      case Event::kFalse:
        return "false";
      default:
        return "null";
    }
  }

  // Refuses a crowd of tensors by counting the keys of the outer object, before any of them costs memory or much time. A
  // header too short to hold that many entries is not scanned.
  void refuse_too_many() const {
    constexpr size_t kShortestEntryBytes = 48;
    const std::string_view text = header_.text;
    if (text.size() < kTensorLimit * kShortestEntryBytes) return;
    size_t depth = 0, tensors = 0, key = 0;
    for (size_t at = 0; at < text.size(); ++at) {
      const char c = text[at];
      if (c == '"') {
        if (depth == 1) key = at;
        for (++at; at < text.size() && text[at] != '"'; ++at)
          if (text[at] == '\\') ++at;
      } else if (c == '{' || c == '[') {
        ++depth;
      } else if (c == '}' || c == ']') {
        --depth;  // wraps on a malformed header, whose fault the reader then finds
      } else if (c == ':' && depth == 1 && text.substr(key, at - key) != "\"__metadata__\"") {
        if (++tensors > kTensorLimit) fail_too_many(key);
      }
    }
  }
  [[noreturn]] void fail_too_many(uint64_t offset) const {
    throw UserError(at(offset) + "more than " + with_commas(kTensorLimit) + " tensors; split the file");
  }

  void read_root() {
    if (!header_.text.empty() && header_.text.front() != '{' && header_.text.find_first_not_of(" \n\t\r") != std::string::npos &&
        header_.text[header_.text.find_first_not_of(" \n\t\r")] == '{')
      header_.notes.push_back(file_ + ": the header begins with white space");
    if (reader_.next() != Event::kBeginObject) fail("the header is not a JSON object");
    bool seen_metadata = false;
    while (reader_.next() == Event::kKey) {
      if (reader_.text() == "__metadata__") {
        if (seen_metadata) fail("duplicate key '__metadata__'");
        seen_metadata = true;
        read_metadata();
      } else {
        read_entry();
      }
    }
    reader_.next();
  }

  void read_metadata() {
    const Event first = reader_.next();
    if (first == Event::kNull) {
      header_.notes.push_back(file_ + ": '__metadata__' is null");
      return;
    }
    if (first != Event::kBeginObject) fail("'__metadata__' must be an object of strings, not " + what_came(first));
    while (reader_.next() == Event::kKey) {
      if (header_.metadata.size() >= kMetadataLimit) fail("more than 10,000 entries in '__metadata__'");
      const auto [row, fresh] = header_.metadata.emplace(reader_.text(), "");
      if (!fresh) fail("duplicate key " + in_quotes(row->first) + " in '__metadata__'");
      const Event event = reader_.next();
      if (event != Event::kString)
        fail("'__metadata__' entry " + in_quotes(row->first) + " must be a string, not " + what_came(event));
      row->second = reader_.text();
    }
  }

  void read_entry() {
    if (header_.entries.size() >= kTensorLimit) fail_too_many(reader_.offset());
    HeaderEntry entry;
    entry.place = 8 + reader_.offset();
    const std::string_view text = reader_.text();
    check_tensor_name(text, at(reader_.offset()));
    const bool plain = text.data() >= header_.text.data() && text.data() < header_.text.data() + header_.text.size();
    entry.name = plain ? text : std::string_view(header_.decoded.emplace_back(text));
    if (!header_.index.emplace(entry.name, static_cast<uint32_t>(header_.entries.size())).second)
      fail("duplicate tensor name " + in_quotes(entry.name));
    if (const Event event = reader_.next(); event != Event::kBeginObject)
      fail("tensor " + in_quotes(entry.name) + " must be described by an object, not " + what_came(event));
    bool dtype = false, shape = false, offsets = false;
    while (reader_.next() == Event::kKey) {
      const std::string_view field = reader_.text();
      bool* seen = field == "dtype" ? &dtype : field == "shape" ? &shape : field == "data_offsets" ? &offsets : nullptr;
      if (seen == nullptr) {
        if (++unknown_fields_ == 1) first_unknown_ = in_quotes(field) + " of tensor " + in_quotes(entry.name);
        reader_.next();
        reader_.skip();
        continue;
      }
      if (*seen) fail("duplicate field " + in_quotes(field) + " of tensor " + in_quotes(entry.name));
      *seen = true;
      if (seen == &dtype) read_dtype(entry);
      if (seen == &shape) read_shape(entry);
      if (seen == &offsets) read_offsets(entry);
    }
    const char* missing = !dtype ? "dtype" : !shape ? "shape" : !offsets ? "data_offsets" : nullptr;
    if (missing != nullptr) fail("tensor " + in_quotes(entry.name) + " has no '" + missing + "'");
    check_size(entry);
    header_.entries.push_back(entry);
  }

  void read_dtype(HeaderEntry& entry) {
    const Event event = reader_.next();
    if (event == Event::kString) entry.dtype = find_safetensors_dtype(reader_.text());
    if (entry.dtype != nullptr) return;
    std::string known;
    for (const SafetensorsDType& row : kDTypes) known += (known.empty() ? "" : " ") + std::string(row.name);
    fail("tensor " + in_quotes(entry.name) + " has dtype " +
         (event == Event::kString ? in_quotes(reader_.text()) : what_came(event)) + "; known are " + known);
  }

  // Digits only: no sign, fraction or exponent; nothing that does not fit 64 bits.
  bool read_unsigned(Event event, uint64_t& value) const {
    if (event != Event::kNumber) return false;
    const std::string_view text = reader_.number();
    const auto [stop, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
    return fault == std::errc() && stop == text.data() + text.size();
  }

  void read_shape(HeaderEntry& entry) {
    if (const Event event = reader_.next(); event != Event::kBeginArray)
      fail("the shape of tensor " + in_quotes(entry.name) + " must be an array, not " + what_came(event));
    entry.first_dim = static_cast<uint32_t>(header_.dims.size());
    for (Event event = reader_.next(); event != Event::kEndArray; event = reader_.next()) {
      uint64_t dim = 0;
      if (!read_unsigned(event, dim) || dim > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
        fail("the shape of tensor " + in_quotes(entry.name) + " holds " + what_came(event) +
             "; a dimension is a whole number from 0 to 2^63-1");
      if (entry.rank == Shape::kMaxRank) fail("the shape of tensor " + in_quotes(entry.name) + " has more than 8 dimensions");
      header_.dims.push_back(static_cast<int64_t>(dim));
      ++entry.rank;
    }
  }

  void read_offsets(HeaderEntry& entry) {
    if (const Event event = reader_.next(); event != Event::kBeginArray)
      fail("data_offsets of tensor " + in_quotes(entry.name) + " must be an array, not " + what_came(event));
    uint64_t values[2] = {0, 0};
    size_t count = 0;
    for (Event event = reader_.next(); event != Event::kEndArray; event = reader_.next()) {
      if (count == 2) fail("data_offsets of tensor " + in_quotes(entry.name) + " has more than two numbers");
      if (!read_unsigned(event, values[count++]))
        fail("data_offsets of tensor " + in_quotes(entry.name) + " holds " + what_came(event) +
             "; an offset is a whole number from 0 to 2^64-1");
    }
    if (count != 2) fail("data_offsets of tensor " + in_quotes(entry.name) + " must be two numbers");
    if (values[0] > values[1])
      fail("data_offsets of tensor " + in_quotes(entry.name) + " are reversed: [" + std::to_string(values[0]) + "," +
           std::to_string(values[1]) + "]");
    entry.begin = values[0];
    entry.end = values[1];
  }

  void check_size(const HeaderEntry& entry) const {
    uint64_t product = entry.dtype->bits, bits = 0;
    bool empty = false;
    for (int i = 0; i < entry.rank; ++i) {
      const auto dim = static_cast<uint64_t>(header_.dims[entry.first_dim + static_cast<size_t>(i)]);
      if (dim == 0)
        empty = true;
      else if (!multiply(product, dim, product))
        fail("tensor " + in_quotes(entry.name) + " of shape " + to_string(header_.shape_of(entry)) +
             " is larger than any file can be");
    }
    bits = empty ? 0 : product;
    const std::string type = std::string(entry.dtype->name) + to_string(header_.shape_of(entry));
    if (bits % 8 != 0) fail("tensor " + in_quotes(entry.name) + " of type " + type + " does not fill whole bytes");
    if (entry.end - entry.begin != bits / 8)
      fail("tensor " + in_quotes(entry.name) + " of type " + type + " needs " + std::to_string(bits / 8) +
           " bytes, its data_offsets give " + std::to_string(entry.end - entry.begin));
  }

  void check_layout() const {
    std::vector<uint32_t> order(header_.entries.size());
    for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      const HeaderEntry &left = header_.entries[a], &right = header_.entries[b];
      return left.begin != right.begin ? left.begin < right.begin : left.end < right.end;
    });
    uint64_t end = 0;
    const HeaderEntry* before = nullptr;
    const std::string again = "; the file is damaged, get it again";
    for (const uint32_t i : order) {
      const HeaderEntry& entry = header_.entries[i];
      if (entry.begin < end)
        throw UserError(file_ + ": tensors " + in_quotes(before->name) + " and " + in_quotes(entry.name) +
                        " overlap at data byte " + std::to_string(entry.begin) + again);
      if (entry.begin > end)
        throw UserError(file_ + ": data bytes " + std::to_string(end) + " to " + std::to_string(entry.begin) + " before tensor " +
                        in_quotes(entry.name) + " belong to no tensor" + again);
      end = entry.end;
      before = &entry;
    }
    if (end > data_bytes_)
      throw UserError(file_ + ": is cut off: its tensors need " + std::to_string(end) + " data bytes, it has " +
                      std::to_string(data_bytes_) + " (last tensor " + in_quotes(before->name) + "); get it again");
    if (end < data_bytes_)
      throw UserError(file_ + ": " + std::to_string(data_bytes_ - end) + " bytes follow the last tensor" + again);
  }

  Header& header_;
  const std::string& file_;
  uint64_t data_bytes_;
  JsonReader reader_;
  int64_t unknown_fields_ = 0;
  std::string first_unknown_;
};

}  // namespace

const SafetensorsDType* find_safetensors_dtype(std::string_view name) {
  for (const SafetensorsDType& row : kDTypes)
    if (row.name == name) return &row;
  return nullptr;
}

std::string_view safetensors_name_of(DType dtype) {
  for (const SafetensorsDType& row : kDTypes)
    if (row.dtype == dtype && dtype != DType::kNone) return row.name;
  internal_error("a dtype without a safetensors name");
}

Shape Header::shape_of(const HeaderEntry& entry) const {
  const auto first = dims.begin() + static_cast<std::ptrdiff_t>(entry.first_dim);
  return Shape(std::vector<int64_t>(first, first + entry.rank));
}

void check_tensor_name(std::string_view name, const std::string& where) {
  if (name.empty()) throw UserError(where + "a tensor has an empty name");
  if (name.size() > kNameLimitBytes)
    throw UserError(where + "the tensor name '" + printable(name, 40) + "' has " + std::to_string(name.size()) +
                    " bytes, the limit is " + std::to_string(kNameLimitBytes));
  for (const char c : name)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      throw UserError(where + "the tensor name '" + printable(name, 40) + "' holds a control character");
}

std::unique_ptr<Header> parse_safetensors_header(std::string text, uint64_t data_bytes, const std::string& file) {
  auto header = std::make_unique<Header>();
  header->text = std::move(text);
  HeaderParser(*header, data_bytes, file).parse();
  return header;
}

}  // namespace espalier::io
