/* The paper's recursion as one would write it in C: inner loop, outer loop, losses of all points.
   absolute loss, w = theta - q / (strength i), theta -= step q at the end of a task. */
#include <math.h>

void stream(const double *X, const double *y, const long *offsets, long tasks, long d, double strength, double step,
            double *theta, double *q, double *losses)
{
    for (long t = 0; t < tasks; t++) {
        for (long k = 0; k < d; k++)
            q[k] = 0.0;
        for (long r = offsets[t]; r < offsets[t + 1]; r++) {
            const double *x = X + r * d;
            double c = 1.0 / (strength * (double)(r - offsets[t] + 1));
            double p = 0.0;
            for (long k = 0; k < d; k++)
                p += x[k] * (theta[k] - c * q[k]);
            double e = p - y[r];
            double s = (e > 0.0) - (e < 0.0);
            losses[r] = fabs(e);
            for (long k = 0; k < d; k++)
                q[k] += s * x[k];
        }
        for (long k = 0; k < d; k++)
            theta[k] -= step * q[k];
    }
}
