//! What generated code calls: products, convolutions, pooling, vector math, random numbers.
