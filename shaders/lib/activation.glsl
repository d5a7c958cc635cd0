// activation.glsl - activations in fp32, with the codes of enum vka_act (ops/ops.h).
#ifndef ACTIVATION_GLSL
#define ACTIVATION_GLSL

const uint ACT_NONE = 0u;
const uint ACT_SILU = 1u;
const uint ACT_GELU = 2u;
const uint ACT_QUICK_GELU = 3u;
const uint ACT_GEGLU = 4u; // takes two values: the caller forms a * act_gelu(g)

// erfc(t), t >= 0, as 2^p(t): p is a polynomial fit of log2(erfc(t)) on [0, 4.6], weighted so that erfc is good to
// 1.1e-7 absolute in fp32 arithmetic; beyond the fit erfc is below 8e-11, constant here.
float act_erfc(float t)
{
    t = min(t, 4.6);
    float p = -7.256903131747094e-07;
    p = p * t + 1.6266156308120117e-05;
    p = p * t - 0.0001546033308841288;
    p = p * t + 0.0007915968890301883;
    p = p * t - 0.002086301799863577;
    p = p * t - 0.00018766007269732654;
    p = p * t + 0.027927009388804436;
    p = p * t - 0.14838461577892303;
    p = p * t - 0.9184297323226929;
    p = p * t - 1.6279079914093018;
    return exp2(p * t);
}

// x * sigmoid(x)
float act_silu(float x) { return x / (1.0 + exp(-x)); }

// x * Phi(x), Phi the normal distribution's integral: erfc(-x / sqrt 2) / 2 (Hendrycks and Gimpel, 2016)
float act_gelu(float x)
{
    float h = 0.5 * act_erfc(abs(x) * 0.70710678118654752);
    return x * (x < 0.0 ? h : 1.0 - h);
}

// x * sigmoid(1.702 x), as in CLIP
float act_quick_gelu(float x) { return x / (1.0 + exp(-1.702 * x)); }

float activate(uint code, float x)
{
    if (code == ACT_SILU)
        return act_silu(x);
    if (code == ACT_GELU)
        return act_gelu(x);
    if (code == ACT_QUICK_GELU)
        return act_quick_gelu(x);
    return x;
}

#endif
