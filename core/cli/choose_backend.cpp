#include "core/cli/choose_backend.h"

#include "core/base/error.h"
#include "plugins/backend_adapter.h"
#include "plugins/registry.h"

namespace espalier::cli {

std::shared_ptr<lower::Backend> choose_backend(const CommandContext& context, const std::string& name,
                                               const std::vector<std::string>& sets) {
  if (name == "reference") {
    if (!sets.empty()) throw UserError("[--backend] the reference has no parameters; leave out --set and --threads");
    return nullptr;
  }
  const plugins::Registry registry(plugins::request_of_process(context.plugin_files));
  const plugins::Component& component = registry.find_backend(name);
  ErrorList errors;
  const plugins::ParamValues values = plugins::resolve_params(component.params, {.sets = sets}, component.id, errors);
  errors.throw_if_any();
  return plugins::open_backend(component, values);
}

}  // namespace espalier::cli
