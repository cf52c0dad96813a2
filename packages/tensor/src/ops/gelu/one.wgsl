// One element at a time.
alias C = f32;
alias Elements = T;
