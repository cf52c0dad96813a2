// What a dispatch for one tensor gets: its elements, and the place of the factor in `control`.
struct Params { count: u32, scale_at: u32 }
