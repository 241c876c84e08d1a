#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/text.h"
#include "core/io/json_reader.h"
#include "core/io/memory_source.h"
#include "core/io/safetensors_file.h"

// A shard's name comes from a file that nobody vouches for: it may only be a plain file name, and what it names must be a
// regular file in the index's own folder. A link is followed only where it stays within that folder, or within the same
// repository of a Hugging Face cache (whose snapshots are links into its blobs).

namespace espalier::io {
namespace fs = std::filesystem;
namespace {

constexpr size_t kShardLimit = 4096, kIndexLimit = 200'000, kListedFaults = 20;
constexpr uint64_t kIndexLimitBytes = uint64_t{16} << 20;

struct ShardIndex {
  std::vector<std::pair<std::string, uint32_t>> weights;  // tensor, shard
  std::vector<std::string> shards;                        // in order of first appearance
  std::optional<uint64_t> total_size;
};

std::string in_quotes(std::string_view text) { return "'" + printable(text) + "'"; }

class IndexParser {
 public:
  IndexParser(std::string_view text, std::string file) : file_(std::move(file)), text_(text), reader_(text) {}

  ShardIndex parse() {
    try {
      read_root();
    } catch (const JsonFault& fault) {
      fail(fault.what, fault.offset);
    }
    return std::move(index_);
  }

 private:
  using Event = JsonReader::Event;
  [[noreturn]] void fail(const std::string& what, uint64_t offset) const {
    const std::string_view before = text_.substr(0, offset);
    const size_t line_begin = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
    throw UserError(file_ + ":" + std::to_string(std::count(before.begin(), before.end(), '\n') + 1) + ":" +
                    std::to_string(offset - line_begin + 1) + ": " + what);
  }
  [[noreturn]] void fail(const std::string& what) const { fail(what, reader_.offset()); }

  void read_root() {
    if (reader_.next() != Event::kBeginObject) fail("a shard index must be a JSON object");
    std::unordered_set<std::string> seen;
    while (reader_.next() == Event::kKey) {
      const std::string key(reader_.text());
      if (!seen.insert(key).second) fail("duplicate key " + in_quotes(key));
      if (key == "weight_map") {
        read_weight_map();
      } else if (key == "metadata") {
        read_metadata();
      } else {
        reader_.next();
        reader_.skip();
      }
    }
    reader_.next();
    if (seen.count("weight_map") == 0) throw UserError(file_ + ": has no 'weight_map'; it is not a shard index");
  }

  void read_metadata() {
    if (reader_.next() != Event::kBeginObject) {
      reader_.skip();
      return;
    }
    while (reader_.next() == Event::kKey) {
      const bool total = reader_.text() == "total_size";
      const Event event = reader_.next();
      if (total && event == Event::kNumber) {
        uint64_t value = 0;
        bool whole = true;
        for (const char c : reader_.number())
          whole = whole && c >= '0' && c <= '9' && !__builtin_mul_overflow(value, 10, &value) &&
                  !__builtin_add_overflow(value, static_cast<uint64_t>(c - '0'), &value);
        if (whole) index_.total_size = value;
      }
      reader_.skip();
    }
  }

  void read_weight_map() {
    if (reader_.next() != Event::kBeginObject) fail("'weight_map' must be an object");
    std::unordered_map<std::string, uint32_t> shards;
    std::unordered_set<std::string> names;
    while (reader_.next() == Event::kKey) {
      std::string name(reader_.text());
      if (!names.insert(name).second) fail("duplicate key " + in_quotes(name) + " in 'weight_map'");
      if (names.size() > kIndexLimit) fail("more than " + with_commas(kIndexLimit) + " tensors");
      if (reader_.next() != Event::kString) fail("the shard of " + in_quotes(name) + " must be a string");
      const std::string shard(reader_.text());
      const auto [known, fresh] = shards.emplace(shard, static_cast<uint32_t>(index_.shards.size()));
      if (fresh) {
        check_shard_name(shard);
        index_.shards.push_back(shard);
        if (index_.shards.size() > kShardLimit) fail("more than " + with_commas(kShardLimit) + " shards");
      }
      index_.weights.emplace_back(std::move(name), known->second);
    }
  }

  void check_shard_name(const std::string& shard) {
    const std::string bad = "the shard name " + in_quotes(shard) + " ";
    if (shard.empty() || shard == "." || shard == "..") fail(bad + "is not a file name");
    if (shard.find('/') != std::string::npos) fail(bad + "holds a '/'; shards lie beside their index");
    if (shard.find('\\') != std::string::npos) fail(bad + "holds a '\\'; shards lie beside their index");
    if (shard.size() > 255) fail("a shard name has " + std::to_string(shard.size()) + " bytes, the limit is 255");
    for (const char c : shard)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) fail(bad + "holds a control character");
    std::string folded = shard;
    for (char& c : folded) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (!folded_.insert(folded).second) fail(bad + "differs from another only by case");
  }

  std::string file_;
  std::string_view text_;
  JsonReader reader_;
  ShardIndex index_;
  std::unordered_set<std::string> folded_;
};

// The folder that shards may really lie in: the index's own, or, for an index in a Hugging Face cache, the repository's.
fs::path allowed_root(const fs::path& folder) {
  fs::path real = fs::canonical(folder);
  for (fs::path up = real; up != up.root_path(); up = up.parent_path())
    if (up.parent_path().filename() == "snapshots" && fs::is_directory(up.parent_path().parent_path() / "blobs"))
      return up.parent_path().parent_path();
  return real;
}

class ShardedSource final : public TensorSource {
 public:
  ShardedSource(const fs::path& path, const OpenOptions& options) : name_(path.string()) {
    const std::string text = read_text(path, kIndexLimitBytes);
    const ShardIndex index = IndexParser(text, name_).parse();
    open_shards(path, index, options);
    check(index, options);
  }

  const std::vector<std::string>& names() const override { return names_; }
  bool contains(std::string_view name) const override { return shard_of_.count(name) != 0; }
  std::string describe() const override { return name_; }
  TensorRef get(std::string_view name) const override {
    const auto found = shard_of_.find(name);
    if (found == shard_of_.end()) no_such_tensor(*this, name);
    return shards_[found->second]->get(name);
  }
  RawTensor raw(std::string_view name) const override {
    const auto found = shard_of_.find(name);
    if (found == shard_of_.end()) no_such_tensor(*this, name);
    return shards_[found->second]->raw(name);
  }
  void drop_pages(std::string_view name) const override {
    if (const auto found = shard_of_.find(name); found != shard_of_.end()) shards_[found->second]->drop_pages(name);
  }

 private:
  void open_shards(const fs::path& path, const ShardIndex& index, const OpenOptions& options) {
    const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
    const fs::path root = allowed_root(folder);
    ErrorList errors;
    for (const std::string& shard : index.shards) {
      std::error_code error;
      const fs::path real = fs::canonical(folder / shard, error);
      if (error)
        add(errors, "shard " + in_quotes(shard) + " is missing; download it beside the index");
      else if (!is_inside(real, root))
        add(errors, "shard " + in_quotes(shard) + " is a link out of the index's folder; put the file itself there");
      else if (fs::hard_link_count(real, error) > 1 && !error)
        report(options, name_ + ": shard " + in_quotes(shard) + " has other hard links; what changes there changes here");
    }
    throw_all(errors);
    for (const std::string& shard : index.shards)
      shards_.push_back(std::make_unique<SafetensorsFile>(folder / shard, options, root));
  }

  void check(const ShardIndex& index, const OpenOptions& options) {
    ErrorList errors;
    uint64_t total = 0;
    for (uint32_t i = 0; i < shards_.size(); ++i)
      for (const std::string& name : shards_[i]->names()) {
        const auto [row, fresh] = shard_of_.emplace(name, i);  // a view into the shard's own names, which live as long
        if (!fresh)
          add(errors, "tensor " + in_quotes(name) + " is in two shards, " + in_quotes(index.shards[row->second]) + " and " +
                          in_quotes(index.shards[i]));
        else
          names_.push_back(name);
      }
    std::unordered_set<std::string_view> listed;
    for (const auto& [name, shard] : index.weights) {
      listed.insert(name);
      const auto found = shard_of_.find(name);
      if (found == shard_of_.end() || !shards_[shard]->contains(name))
        add(errors, "tensor " + in_quotes(name) + " is not in its shard " + in_quotes(index.shards[shard]));
    }
    for (const std::string& name : names_)
      if (listed.count(name) == 0)
        add(errors,
            "tensor " + in_quotes(name) + " of shard " + in_quotes(index.shards[shard_of_[name]]) + " is not in the index");
    throw_all(errors);
    for (const auto& shard : shards_) total += shard->data_bytes();
    if (index.total_size && *index.total_size != total) {
      report(options, name_ + ": total_size is " + std::to_string(*index.total_size) + ", the shards hold " +
                          std::to_string(total) + " bytes");
    }
  }

  static void report(const OpenOptions& options, std::string note) {
    if (options.strict) throw UserError(note);
    if (options.notes != nullptr) options.notes->push_back(std::move(note));
  }

  void add(ErrorList& errors, const std::string& fault) {
    if (++faults_ <= kListedFaults) errors.add(name_ + ": " + fault);
  }
  void throw_all(ErrorList& errors) const {
    if (faults_ > kListedFaults)
      errors.add(name_ + ": and " + with_commas(static_cast<int64_t>(faults_ - kListedFaults)) + " more");
    errors.throw_if_any();
  }

  std::string name_;
  size_t faults_ = 0;
  std::vector<std::unique_ptr<const SafetensorsFile>> shards_;
  std::vector<std::string> names_;
  std::unordered_map<std::string_view, uint32_t> shard_of_;
};

}  // namespace

TensorSourcePtr open_sharded(const fs::path& index, const OpenOptions& options) {
  return std::make_shared<ShardedSource>(index, options);
}

}  // namespace espalier::io
