#pragma once
// Services of one call: tables by id.

#include <espalier/host.h>

#include <string_view>
#include <vector>

namespace espalier::plugins {

/// What a view carries. Tables must outlive it. Host-wide services (rng, cancel) are in every one.
class Services {
 public:
  Services();
  Services(const Services&) = delete;
  Services& operator=(const Services&) = delete;
  template <typename Table>
  void add(std::string_view id, const Table* table) {
    entries_.push_back({id, table, sizeof(Table)});
  }
  const esp_services* table() const { return &table_; }

 private:
  struct Entry {
    std::string_view id;
    const void* table;
    uint64_t size;
  };
  static const void* find(void* ctx, esp_str id, uint64_t min_size);
  std::vector<Entry> entries_;
  esp_services table_{};
};

/// A service that every call has, or null.
const void* host_service(std::string_view id, uint64_t min_size);

/// Services that the validator takes away from the calls that follow, in this process; "" gives them back.
void hide_service(std::string_view id);

}  // namespace espalier::plugins
