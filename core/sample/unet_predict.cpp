#include "core/sample/unet_predict.h"

namespace espalier::sample {

Predict unet_predict(std::shared_ptr<exec::Executor> executor) {
  return [executor = std::move(executor)](const exec::FloatTensor& sample, double timestep, const Conditioning& rows) {
    exec::FloatTensors inputs;
    inputs["sample"] = sample;
    inputs["timestep"] = {Shape{sample.shape[0]},
                          std::vector<float>(static_cast<size_t>(sample.shape[0]), static_cast<float>(timestep))};
    inputs["encoder_hidden_states"] = rows.encoder_hidden_states;
    if (!rows.text_embeds.values.empty()) inputs["text_embeds"] = rows.text_embeds;
    if (!rows.time_ids.values.empty()) inputs["time_ids"] = rows.time_ids;
    return exec::run_named(*executor, inputs).at("sample");
  };
}

}  // namespace espalier::sample
