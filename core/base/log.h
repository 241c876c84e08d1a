#pragma once
// Lines on stderr about what happens inside, switched on by category.
//
//   ESPALIER_LOG=category[:level],…     categories: import pass plan dispatch exec plugin mem, or all
//                                       levels: error warning info debug (default: info when a category is named)
//
// One line format, for people and for scripts:   espalier [category] level: text
// Warnings are shown without being asked for; --quiet hides them. Nothing that is logged changes a result.

#include <string>
#include <string_view>

namespace espalier::log {

enum class Category { kImport, kPass, kPlan, kDispatch, kExec, kPlugin, kMem };
enum class Level { kError, kWarning, kInfo, kDebug };

/// Reads ESPALIER_LOG on top of what `verbosity` asks for (-1 errors only, 0 warnings, 1 info, 2 debug).
/// Errors: UserError for an unknown category or level, with the nearest.
void configure_from_environment(int verbosity);
/// The same from a text; for tests and the API.
void configure(std::string_view spec, int verbosity);

/// Cheap; ask before building an expensive text. [any thread]
bool enabled(Category category, Level level);
/// Writes one line whole. [any thread]
void write(Category category, Level level, std::string_view text);
/// --quiet: no progress either.
bool quiet();

inline void warning(Category category, std::string_view text) { write(category, Level::kWarning, text); }
inline void info(Category category, std::string_view text) { write(category, Level::kInfo, text); }
inline void debug(Category category, std::string_view text) { write(category, Level::kDebug, text); }

}  // namespace espalier::log
