// The seam between llama.cpp's CPU backend and our kernels: an "extra buffer type", which the backend
// asks about every operation before it computes it itself. Declarations come from llama.cpp's own
// headers, so a change of theirs fails to compile.

#include "traits.h"

#include <cstddef>

// As `Params` of seam.rs has it.
static_assert(offsetof(ggml_compute_params, ith) == 0 && offsetof(ggml_compute_params, nth) == 4 &&
                  offsetof(ggml_compute_params, wsize) == 8 && offsetof(ggml_compute_params, wdata) == 16 &&
                  offsetof(ggml_compute_params, threadpool) == 24 && offsetof(ggml_compute_params, use_ref) == 32,
              "ggml_compute_params has another layout");

namespace {

using compute_function = bool (*)(const ggml_compute_params *, ggml_tensor *);
using work_size_function = bool (*)(int, const ggml_tensor *, size_t *);

class kernels : public ggml::cpu::tensor_traits, public ggml::cpu::extra_buffer_type {
  public:
    kernels(compute_function compute, work_size_function work_size) : compute(compute), work(work_size) {}

    bool work_size(int threads, const ggml_tensor * op, size_t & size) override {
        return work(threads, op, &size);
    }

    bool compute_forward(ggml_compute_params * params, ggml_tensor * op) override {
        return compute(params, op);
    }

    // No tensor is ever allocated with this type.
    bool supports_op(ggml_backend_dev_t, const ggml_tensor *) override { return false; }

    ggml::cpu::tensor_traits * get_tensor_traits(const ggml_tensor *) override { return this; }

  private:
    compute_function   compute;
    work_size_function work;
};

}  // namespace

// Called once, before the first context is made.
extern "C" void cloister_kernels_install(compute_function compute, work_size_function work_size) {
    static kernels                         installed(compute, work_size);
    static struct ggml_backend_buffer_type type = {};
    // The backend casts the context to its base class by a C cast from void.
    type.context = static_cast<ggml::cpu::extra_buffer_type *>(&installed);
    ggml_backend_cpu_get_extra_buffer_types().push_back(&type);
}
