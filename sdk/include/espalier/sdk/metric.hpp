// esp::metric: a metric as a C++ class.
//
//   struct Error : esp::metric<Error> {
//     static constexpr std::string_view id = "com.acme.metric.error", doc = "Mean absolute error of the prediction.";
//     static constexpr uint32_t reads = ESP_METRIC_OUTPUTS;
//     void measure(const esp::metric_view& in, esp::metric_values& out) {
//       const auto s = in.student_output(), t = in.teacher_output();
//       double sum = 0;
//       for (size_t i = 0; i < s.size(); ++i) sum += std::abs(s[i] - t[i]);
//       out.value(sum / s.size());
//     }
//   };
#ifndef ESPALIER_SDK_METRIC_HPP
#define ESPALIER_SDK_METRIC_HPP

#include <cstddef>
#include <string_view>

#include "espalier/metric.h"
#include "espalier/sdk/common.hpp"
#include "espalier/sdk/params.hpp"

namespace esp {
inline namespace v0 {

/// A dense tensor of f32, borrowed from the view.
class floats {
 public:
  explicit floats(const esp_floats& raw) : raw_(&raw) {
    for (int32_t i = 0; i < raw.type.rank; ++i) size_ *= static_cast<size_t>(raw.type.dims[i]);
  }
  const float* data() const { return raw_->data; }
  size_t size() const { return size_; }
  float operator[](size_t i) const { return raw_->data[i]; }
  int32_t rank() const { return raw_->type.rank; }
  size_t extent(int32_t dimension) const { return static_cast<size_t>(raw_->type.dims[dimension]); }

 private:
  const esp_floats* raw_;
  size_t size_ = 1;
};

/// What a metric sees: see esp_metric_view. Errors: `invalid` for what its `reads` does not name, or the host could not make.
class metric_view {
 public:
  explicit metric_view(const esp_metric_view* raw) : raw_(raw) {}
  floats student_output() const { return there(raw_->student_output, "the student's output"); }
  floats teacher_output() const { return there(raw_->teacher_output, "the teacher's output"); }
  floats target() const { return there(raw_->target, "the target"); }
  floats timestep() const { return there(raw_->timestep, "the timestep"); }
  floats student_pictures() const { return there(raw_->student_pictures, "the student's pictures"); }
  floats teacher_pictures() const { return there(raw_->teacher_pictures, "the teacher's pictures"); }
  esp::services services() const { return esp::services(raw_->services); }

 private:
  static floats there(const esp_floats& raw, const char* what) {
    if (raw.data == nullptr) throw invalid(std::string(what) + " is not here: does `reads` name it?");
    return floats(raw);
  }
  const esp_metric_view* raw_;
};

/// Where a metric puts its numbers.
class metric_values {
 public:
  explicit metric_values(esp_metric_sink sink) : sink_(sink) {}
  void value(double number) { value("", number); }
  void value(std::string_view label, double number) {
    check(sink_.value(sink_.ctx, str(label), number), "the host refused a number");
  }

 private:
  esp_metric_sink sink_;
};

/// Base of a metric. Self has `id`, `doc`, `reads` (ESP_METRIC_*), `void measure(const metric_view&, metric_values&)`; optionally
/// `params()` and `static constexpr std::string_view name`.
template <typename Self>
class metric {
 public:
  static constexpr std::string_view kind = "esp.metric/1";
  static const void* vtable() {
    static const esp_metric_vtable table = [] {
      esp_metric_vtable t{};
      t.struct_size = sizeof(t);
      t.reads = Self::reads;
      if constexpr (requires { Self::name; }) t.default_name = str(Self::name);
      t.create = &detail::instance<Self>::create;
      t.destroy = &detail::instance<Self>::destroy;
      t.measure = &measure_batch;
      return t;
    }();
    return &table;
  }

 private:
  static esp_status measure_batch(void* self, const esp_metric_view* raw, esp_metric_sink sink) noexcept {
    return guard([&] {
      metric_values values(sink);
      static_cast<Self*>(self)->measure(metric_view(raw), values);
    });
  }
};

}  // namespace v0
}  // namespace esp
#endif
