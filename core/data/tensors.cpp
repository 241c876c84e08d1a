#include "core/data/tensors.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/exec/border.h"
#include "core/io/memory_source.h"
#include "core/io/safetensors.h"

// Every distinct size among the files is a bucket, in the order of its first file.

namespace espalier::data {
namespace {

constexpr int kTimesteps = 1000;

const std::vector<std::string>& tensor_names() {
  static const std::vector<std::string> names{"latents", "noise", "timestep", "encoder_hidden_states", "text_embeds", "time_ids"};
  return names;
}

// What the headers of one file say, with every fault of it in `errors`.
BatchShape shape_of_file(const io::TensorSource& file, int64_t batch_size, ErrorList& errors) {
  const std::string place = file.describe() + ": ";
  for (const std::string& name : file.names())
    if (std::find(tensor_names().begin(), tensor_names().end(), name) == tensor_names().end())
      errors.add(place + "unknown tensor '" + printable(name) + "'" + did_you_mean(name, tensor_names()));
  const bool pooled = file.contains("text_embeds") || file.contains("time_ids");
  const auto shape = [&](const char* name, int rank, const char* dims) {
    if (!file.contains(name)) {
      errors.add(place + "has no tensor '" + name + "'" + did_you_mean(name, file.names()) + "; a batch needs it as " + dims);
      return Shape(std::vector<int64_t>(static_cast<size_t>(rank), 0));
    }
    const io::TensorRef tensor = file.get(name);
    const Shape& found = tensor.type.shape;
    const std::vector<int64_t>& extents = found.dims();
    if (found.rank() != rank || std::count(extents.begin(), extents.end(), 0) != 0) {
      errors.add(place + "'" + name + "' is " + to_string(found) + ", not " + dims);
      return Shape(std::vector<int64_t>(static_cast<size_t>(rank), 0));
    }
    if (!is_floating(tensor.type.dtype))
      errors.add(place + "'" + name + "' is of type " + std::string(name_of(tensor.type.dtype)) + "; save it as f32");
    if (found[0] != batch_size)
      errors.add(place + "'" + name + "' is a batch of " + std::to_string(found[0]) + ", and [train] batch_size is " +
                 std::to_string(batch_size) + "; batches are replayed as they are, so make them equal");
    return found;
  };
  const Shape latents = shape("latents", 4, "[N,C,H,W]"), noise = shape("noise", 4, "[N,C,H,W]");
  shape("timestep", 1, "[N]");
  const Shape text = shape("encoder_hidden_states", 3, "[N,L,E]");
  const Shape embeds = pooled ? shape("text_embeds", 2, "[N,P]") : Shape{0, 0};
  const Shape ids = pooled ? shape("time_ids", 2, "[N,6]") : Shape{0, 6};
  if (latents[1] != 0 && noise[1] != 0 && latents != noise)
    errors.add(place + "'latents' is " + to_string(latents) + " and 'noise' is " + to_string(noise) + "; they must be equal");
  if (ids[1] != 6 && ids[1] != 0) errors.add(place + "'time_ids' is " + to_string(ids) + ", not [N,6]");
  return {batch_size, latents[2], latents[3], latents[1], text[1], text[2], embeds[1]};
}

class TensorFiles final : public Source {
 public:
  TensorFiles(const std::vector<std::filesystem::path>& files, int64_t batch_size) {
    ErrorList errors;
    if (files.empty()) errors.add("[data] files names no file; a source of tensors needs one for each step");
    for (const auto& path : files) open(path, batch_size, errors);
    errors.throw_if_any();
  }

  const std::vector<BatchShape>& buckets() const override { return buckets_; }
  int64_t validation_batches() const override { return 0; }
  int64_t rows() const override { return static_cast<int64_t>(files_.size()) * buckets_.front().batch; }
  Batch validation_batch(int64_t index) override {
    throw InternalError("a source of tensors holds no batch out, not even " + std::to_string(index));
  }

  Batch batch(int64_t step) override {
    ESP_CHECK(step >= 0);
    const size_t place = static_cast<size_t>(step) % files_.size();
    const io::TensorSource& file = *files_[place];
    Batch batch{bucket_of_file_[place], {}, {}};
    for (const std::string& name : file.names()) {
      const io::TensorRef tensor = file.get(name);
      exec::FloatTensor values{tensor.type.shape, io::read_f32(tensor)};
      check_values(file, name, values.values);
      batch.tensors.emplace(name, std::move(values));
    }
    batch.tensors = exec::from_files(std::move(batch.tensors));
    const int64_t rows = buckets_[batch.bucket].batch;
    for (int64_t row = 0; row < rows; ++row) batch.ids.push_back(file.describe() + "#" + std::to_string(row));
    return batch;
  }

  std::vector<std::string> describe() const override {
    std::vector<std::string> lines{std::to_string(files_.size()) + (files_.size() == 1 ? " file" : " files") +
                                   " of recorded batches, replayed in order and again from the first; none held out"};
    for (size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
      const BatchShape& s = buckets_[bucket];
      const auto count = std::count(bucket_of_file_.begin(), bucket_of_file_.end(), bucket);
      lines.push_back(std::to_string(count) + (count == 1 ? " batch" : " batches") + " of " + std::to_string(s.batch) +
                      " latents " + std::to_string(s.height) + "x" + std::to_string(s.width) + "x" + std::to_string(s.channels) +
                      ", " + std::to_string(s.tokens) + " tokens");
    }
    return lines;
  }

 private:
  void open(const std::filesystem::path& path, int64_t batch_size, ErrorList& errors) {
    try {
      const io::TensorSourcePtr file = io::open_safetensors(path);
      const size_t before = errors.messages().size();
      const BatchShape shape = shape_of_file(*file, batch_size, errors);
      if (errors.messages().size() != before) return;
      if (!buckets_.empty()) {
        const BatchShape& first = buckets_.front();
        if (shape.channels != first.channels || shape.tokens != first.tokens || shape.embedding != first.embedding ||
            shape.pooled != first.pooled)
          errors.add(file->describe() + ": channels, tokens or widths differ from those of " + files_.front()->describe());
      }
      const auto found = std::find(buckets_.begin(), buckets_.end(), shape);
      bucket_of_file_.push_back(static_cast<size_t>(found - buckets_.begin()));
      if (found == buckets_.end()) buckets_.push_back(shape);
      files_.push_back(file);
    } catch (const UserError& error) {
      errors.add(error.what());
    }
  }

  static void check_values(const io::TensorSource& file, const std::string& name, const std::vector<float>& values) {
    const auto fail = [&](size_t i, const std::string& what) {
      throw UserError(file.describe() + ": '" + name + "' element " + std::to_string(i) + " is " + what);
    };
    for (size_t i = 0; i < values.size(); ++i) {
      if (!std::isfinite(values[i])) fail(i, "not finite; record the batch again");
      if (name == "timestep" && (values[i] != std::floor(values[i]) || values[i] < 0 || values[i] >= kTimesteps))
        fail(i, std::to_string(values[i]) + "; a timestep is a whole number from 0 to 999");
    }
  }

  std::vector<io::TensorSourcePtr> files_;  // shared type of open_safetensors; this is the only owner
  std::vector<BatchShape> buckets_;
  std::vector<size_t> bucket_of_file_;
};

}  // namespace

std::unique_ptr<Source> open_tensors(const std::vector<std::filesystem::path>& files, int64_t batch_size) {
  return std::make_unique<TensorFiles>(files, batch_size);
}

}  // namespace espalier::data
