#include "core/cli/choose_backend.h"

#include "core/base/error.h"
#include "plugins/backend_adapter.h"
#include "plugins/registry.h"

namespace espalier::cli {

std::shared_ptr<lower::Backend> choose_backend(const CommandContext& context, const std::string& name) {
  if (name == "reference") return nullptr;
  const plugins::Registry registry(plugins::request_of_process(context.plugin_files));
  const plugins::Component& component = registry.find_backend(name);
  ErrorList errors;
  const plugins::ParamValues values = plugins::resolve_params(component.params, {}, component.id, errors);
  errors.throw_if_any();
  return plugins::open_backend(component, values);
}

}  // namespace espalier::cli
