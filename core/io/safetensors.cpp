#include "core/io/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/io/memory_source.h"
#include "core/io/safetensors_file.h"

// The header is read with pread and checked against the file's size before anything is mapped; only tensor bytes are read
// through the mapping. Tensors that a file places off their element's alignment are copied once, on first use.

namespace espalier::io {
namespace fs = std::filesystem;
namespace {

struct Magic {
  std::string_view bytes;
  std::string_view what;
};
constexpr Magic kMagics[] = {
    {"version https://git-lfs", "is a Git LFS pointer, not the weights; fetch them with 'git lfs pull'"},
    {"PK\x03\x04",
     "is a zip or pickled PyTorch file, not safetensors; pickles run code and are never opened, convert it to safetensors first"},
    {"\x80\x02",
     "is a pickled PyTorch file, not safetensors; pickles run code and are never opened, convert it to safetensors first"},
    {"\x80\x03",
     "is a pickled PyTorch file, not safetensors; pickles run code and are never opened, convert it to safetensors first"},
    {"\x80\x04",
     "is a pickled PyTorch file, not safetensors; pickles run code and are never opened, convert it to safetensors first"},
    {"<!DOCTYPE", "is an HTML page, not safetensors; the download failed, get it again"},
    {"<!doctype", "is an HTML page, not safetensors; the download failed, get it again"},
    {"<html", "is an HTML page, not safetensors; the download failed, get it again"},
    {"GGUF", "is a GGUF file, not safetensors; convert it to safetensors first"},
    {"\x1f\x8b", "is a gzip archive, not safetensors; unpack it first"},
    {"\x93NUMPY", "is a NumPy array, not safetensors; convert it to safetensors first"},
    {"{\"", "is JSON text, not safetensors; name the .safetensors file or its .index.json"},
    {"{\n", "is JSON text, not safetensors; name the .safetensors file or its .index.json"},
};

class OpenFile {
 public:
  // Never waits for a FIFO's writer; devices, folders and sockets are refused.
  explicit OpenFile(const fs::path& file) : name_(file.string()), fd_(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (fd_ < 0) throw UserError(name_ + ": cannot open: " + std::strerror(errno));
    struct stat info {};
    const bool known = ::fstat(fd_, &info) == 0;
    if (!known || !S_ISREG(info.st_mode)) {
      ::close(fd_);
      throw UserError(
          name_ + (known && S_ISDIR(info.st_mode) ? ": is a folder, a safetensors file is needed" : ": is not a regular file"));
    }
    size_ = static_cast<uint64_t>(info.st_size);
  }
  ~OpenFile() { ::close(fd_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  std::string read(uint64_t offset, size_t count) const {
    std::string bytes(count, '\0');
    size_t done = 0;
    while (done < count) {
      const ssize_t got = ::pread(fd_, bytes.data() + done, count - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw UserError(name_ + ": cannot read: " + std::strerror(errno));
      if (got == 0) throw UserError(name_ + ": was cut off while it was read; get it again");
      done += static_cast<size_t>(got);
    }
    return bytes;
  }
  // Of the open file itself, whatever its name points to by now.
  fs::path real_path() const {
    std::error_code error;
    const fs::path path = fs::read_symlink("/proc/self/fd/" + std::to_string(fd_), error);
    return error ? fs::canonical(name_) : path;
  }
  const std::string& name() const { return name_; }
  uint64_t size() const { return size_; }
  int fd() const { return fd_; }

 private:
  std::string name_;
  int fd_;
  uint64_t size_ = 0;
};

uint64_t checked_header_length(const OpenFile& file, const OpenOptions& options) {
  if (file.size() == 0) throw UserError(file.name() + ": is empty; get it again");
  const std::string head = file.read(0, std::min<uint64_t>(file.size(), 32));
  // A header's length may begin with any bytes, those of a pickle included; its JSON begins at byte 8.
  const bool has_header = head.size() > 8 && head[8] == '{';
  for (const Magic& magic : kMagics)
    if (!has_header && std::string_view(head).substr(0, magic.bytes.size()) == magic.bytes)
      throw UserError(file.name() + ": " + std::string(magic.what));
  if (head.size() < 8)
    throw UserError(file.name() + ": is cut off: " + std::to_string(head.size()) +
                    " bytes, a header length takes 8; get it again");
  uint64_t length = 0;
  for (size_t i = 8; i-- > 0;) length = length << 8 | static_cast<unsigned char>(head[i]);
  const std::string claims = file.name() + ": the header length at byte 0 is " + std::to_string(length);
  if (length == 0) throw UserError(claims + "; this is not a safetensors file");
  if (length > kHeaderLimitBytes) throw UserError(claims + ", the format's limit is 100000000; this is not a safetensors file");
  if (length > file.size() - 8)
    throw UserError(claims + ", only " + std::to_string(file.size() - 8) +
                    " bytes follow; the file is cut off or not safetensors");
  if (length > kLargeHeaderBytes && !options.allow_large_header)
    throw UserError(claims + ", over 16 MiB; pass --large-headers if you trust the file");
  return length;
}

void report(const OpenOptions& options, const std::vector<std::string>& notes) {
  if (notes.empty()) return;
  if (options.strict) {
    ErrorList errors;
    for (const std::string& note : notes) errors.add(note);
    errors.throw_if_any();
  }
  if (options.notes != nullptr) options.notes->insert(options.notes->end(), notes.begin(), notes.end());
}

}  // namespace

bool is_inside(const fs::path& path, const fs::path& root) {
  return std::mismatch(root.begin(), root.end(), path.begin(), path.end()).first == root.end();
}

SafetensorsFile::SafetensorsFile(const fs::path& path, const OpenOptions& options, const fs::path& root) {
  const OpenFile file(path);
  name_ = file.name();
  if (!root.empty() && !is_inside(file.real_path(), root))
    throw UserError(name_ + ": is a link out of the index's folder; put the file itself there");
  const uint64_t length = checked_header_length(file, options);
  data_begin_ = 8 + length;
  header_ = parse_safetensors_header(file.read(8, length), file.size() - data_begin_, name_);
  report(options, header_->notes);
  names_.reserve(header_->entries.size());
  for (const HeaderEntry& entry : header_->entries) names_.emplace_back(entry.name);
  if (file.size() == data_begin_) return;
  void* mapped = ::mmap(nullptr, file.size(), PROT_READ, MAP_SHARED, file.fd(), 0);
  if (mapped == MAP_FAILED) throw UserError(name_ + ": cannot map " + human_bytes(file.size()) + ": " + std::strerror(errno));
  map_ = static_cast<std::byte*>(mapped);
  map_bytes_ = file.size();
}

SafetensorsFile::~SafetensorsFile() {
  if (map_ != nullptr) ::munmap(map_, map_bytes_);
}

const HeaderEntry& SafetensorsFile::find(std::string_view name) const {
  const auto found = header_->index.find(name);
  if (found == header_->index.end()) no_such_tensor(*this, name);
  return header_->entries[found->second];
}

TensorRef SafetensorsFile::get(std::string_view name) const {
  const HeaderEntry& entry = find(name);
  if (entry.dtype->dtype == DType::kNone)
    throw UserError(name_ + ": tensor '" + printable(name) + "' has type " + std::string(entry.dtype->name) +
                    ", which espalier does not compute with; convert it to F16, BF16 or F32");
  TensorRef tensor{{entry.dtype->dtype, header_->shape_of(entry)}, {}};
  if (entry.begin == entry.end) return tensor;
  const std::span<const std::byte> bytes(map_ + data_begin_ + entry.begin, entry.end - entry.begin);
  const bool aligned = (data_begin_ + entry.begin) % size_of(tensor.type.dtype) == 0;
  tensor.bytes = aligned ? bytes : aligned_copy(name, bytes);
  return tensor;
}

RawTensor SafetensorsFile::raw(std::string_view name) const {
  const HeaderEntry& entry = find(name);
  RawTensor tensor{std::string(entry.dtype->name), header_->shape_of(entry), {}};
  if (entry.begin != entry.end) tensor.bytes = {map_ + data_begin_ + entry.begin, entry.end - entry.begin};
  return tensor;
}

void SafetensorsFile::drop_pages(std::string_view name) const {
  const auto found = header_->index.find(name);
  if (found == header_->index.end() || map_ == nullptr) return;
  const HeaderEntry& entry = header_->entries[found->second];
  static const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const uint64_t begin = (data_begin_ + entry.begin + page - 1) / page * page, end = (data_begin_ + entry.end) / page * page;
  if (begin < end) ::madvise(map_ + begin, end - begin, MADV_DONTNEED);
}

std::span<const std::byte> SafetensorsFile::aligned_copy(std::string_view name, std::span<const std::byte> bytes) const {
  const std::scoped_lock lock(copies_mutex_);
  auto [copy, fresh] = copies_.try_emplace(std::string(name));
  if (fresh) copy->second.assign(bytes.begin(), bytes.end());
  return copy->second;
}

TensorSourcePtr open_safetensors(const fs::path& file, const OpenOptions& options) {
  return std::make_shared<SafetensorsFile>(file, options);
}

std::map<std::string, std::string> read_metadata(const fs::path& file, const OpenOptions& options) {
  return SafetensorsFile(file, options).header().metadata;
}

}  // namespace espalier::io
