"""What is known of a batch before it is planned: both sides, candidates, parents, kin. First read case, observer, situation."""
