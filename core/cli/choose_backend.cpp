#include "core/cli/choose_backend.h"

#include "core/base/error.h"
#include "plugins/backend_adapter.h"
#include "plugins/registry.h"

namespace espalier::cli {

std::shared_ptr<lower::Backend> choose_backend(const CommandContext& context, const std::string& name,
                                               const std::vector<std::string>& sets, const std::string& device) {
  if (name == "reference") {
    if (!sets.empty() || !device.empty())
      throw UserError("[--backend] the reference has no parameters and no devices; leave out --set, --threads and --device");
    return nullptr;
  }
  const plugins::Registry registry(plugins::request_of_process(context.plugin_files));
  const plugins::Component& component = registry.find_backend(name);
  ErrorList errors;
  const plugins::ParamValues values = plugins::resolve_params(component.params, {.sets = sets}, component.id, errors);
  errors.throw_if_any();
  return plugins::open_backend(component, values, device);
}

void add_device(CLI::App* command, std::string& device) {
  command->add_option("--device", device, "name or index of a device of the backend; by default the first that runs anything")
      ->type_name("NAME");
}

}  // namespace espalier::cli
