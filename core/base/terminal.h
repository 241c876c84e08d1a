#pragma once
// What the user's terminal can show, and tables in aligned columns.

#include <string>
#include <string_view>
#include <vector>

namespace espalier::terminal {

bool stdout_is_tty();
bool stderr_is_tty();
/// Columns of the terminal on stderr; 100 where there is none. COLUMNS overrides.
size_t width();
/// Whether stdout may carry colour: a terminal, and NO_COLOR is not set, and TERM is not "dumb".
bool colour();

enum class Style { kBold, kDim, kRed, kGreen, kYellow };
/// `text` in that style where `colour()` holds, else unchanged.
std::string styled(std::string_view text, Style style);

/// Columns that `text` takes when printed: UTF-8 code points, escape sequences not counted.
size_t columns_of(std::string_view text);

/// Collects rows and prints them with aligned columns, two spaces apart, no trailing blanks.
class Table {
 public:
  enum class Align { kLeft, kRight };
  explicit Table(std::vector<Align> columns) : align_(std::move(columns)) {}
  void header(std::vector<std::string> cells) { header_ = std::move(cells); }
  /// Missing cells are empty; more cells than columns are an InternalError.
  void row(std::vector<std::string> cells);
  size_t rows() const { return rows_.size(); }
  std::string text() const;

 private:
  std::vector<Align> align_;
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace espalier::terminal
