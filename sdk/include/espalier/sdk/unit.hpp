// esp::unit: one removable region of the model, or a block that is only listed.
#ifndef ESPALIER_SDK_UNIT_HPP
#define ESPALIER_SDK_UNIT_HPP

#include <string_view>
#include <vector>

#include "espalier/prune.h"
#include "espalier/sdk/common.hpp"

namespace esp {
inline namespace v0 {

/// One unit of the model; borrowed from the view.
class unit {
 public:
  explicit unit(const esp_unit* raw) : raw_(raw) {}
  int32_t kind() const { return raw_->kind; }
  std::string_view path() const { return view(raw_->path); }
  std::string_view module() const { return view(raw_->module); }
  int64_t index() const { return raw_->index; }
  int64_t siblings() const { return raw_->siblings; }
  int64_t parameters() const { return raw_->parameters; }
  double flops() const { return raw_->flops; }
  double bytes() const { return raw_->bytes; }
  bool removable() const { return raw_->removable != 0; }
  std::string_view why_not() const { return view(raw_->why_not); }
  /// N,H,W,C; zeros where the unit has none.
  const int64_t* in_shape() const { return raw_->in_shape; }
  const int64_t* out_shape() const { return raw_->out_shape; }
  std::vector<std::string_view> skip_partners() const {
    std::vector<std::string_view> partners;
    for (uint64_t i = 0; i < raw_->skip_partner_count; ++i) partners.push_back(view(raw_->skip_partners[i]));
    return partners;
  }

 private:
  const esp_unit* raw_;
};

}  // namespace v0
}  // namespace esp
#endif
