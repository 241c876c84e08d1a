#pragma once
// The loaded plugins of this process: a verdict for every file, and components by kind and id.

#include <string>
#include <string_view>
#include <vector>

#include "plugins/loader.h"
#include "plugins/search.h"

namespace espalier::plugins {

inline constexpr std::string_view kPruneKind = "esp.prune/1";
inline constexpr std::string_view kLossKind = "esp.loss/1";
inline constexpr std::string_view kMetricKind = "esp.metric/1";
inline constexpr std::string_view kBackendKind = "esp.backend/1";

/// Everything that one search found. Accepted plugins are initialised once for each process; `deinit` runs before exit.
///
/// A component id in two files is nobody's: both files are refused with each other's path, unless exactly one of them
/// was named by --plugin. Components of unknown kinds are listed and never used.
class Registry {
 public:
  /// Searches, scans in another process, loads, checks and initialises. Errors: UserError for a lock file that
  /// is none; all else that went wrong stands in the verdicts.
  explicit Registry(const SearchRequest& request);

  const std::vector<SearchPlace>& places() const { return places_; }
  const std::vector<Verdict>& verdicts() const { return verdicts_; }
  /// Usable components of one kind, by id.
  std::vector<const Component*> of_kind(std::string_view kind) const;
  /// The component `id` of `kind`. Errors: UserError with the nearest ids, the places searched, and every refused file; or
  /// when a file that --plugin names is refused, whatever the id: it may be what the user means.
  const Component& find(std::string_view kind, std::string_view id) const;
  /// A backend by its id, or by the last part of it ("cpu").
  const Component& find_backend(std::string_view name) const;
  /// The usable component `id` of any kind, or nullptr.
  const Component* find_any(std::string_view id) const;

 private:
  void settle_duplicates();
  void initialise();
  const Component& chosen(const Component& component) const;
  [[noreturn]] void not_found(std::string_view what, std::string_view name, const std::vector<std::string>& known) const;

  std::vector<SearchPlace> places_;
  std::vector<Verdict> verdicts_;
};

}  // namespace espalier::plugins
