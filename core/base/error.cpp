#include "core/base/error.h"

namespace espalier {

void Error::add_context(std::string_view trail) {
  text_ += "\n  ";
  text_ += trail;
}

void ErrorList::throw_if_any() const {
  if (messages_.empty()) return;
  std::string all;
  for (const std::string& message : messages_) {
    if (!all.empty()) all += '\n';
    all += message;
  }
  throw UserError(all);
}

void internal_error(std::string_view message, const char* file, int line) {
  throw InternalError("[internal] " + std::string(message) + " (" + file + ":" + std::to_string(line) +
                      "); this is a bug in espalier, please report it");
}

}  // namespace espalier
