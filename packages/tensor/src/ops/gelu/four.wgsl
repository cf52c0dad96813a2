// Four elements at a time.
alias C = vec4<f32>;
alias Elements = vec4<T>;
