//! Words of other languages and libraries, and what they are called here. A word only counts where one of its
//! meanings could stand, so one table serves layers, arguments, dtypes, units and the heads of lines alike.

/// What `word` is called here, most likely first; nothing where it is no word of another language.
pub fn called_here(word: &str) -> &'static [&'static str] {
    let plain: String = word.chars().filter(|c| *c != '_').collect::<String>().to_ascii_lowercase();
    WORDS.iter().find(|(theirs, _)| theirs.split(' ').any(|t| t == plain)).map_or(&[], |(_, ours)| ours)
}

/// Theirs, in small letters and without `_`; ours.
const WORDS: &[(&str, &[&str])] = &[
    // ---- heads of blocks and lines ----
    ("class network net nnmodule", &["model"]),
    ("module", &["model", "layer"]),
    ("def fn func fun function proc", &["layer"]),
    ("import include require from load open", &["use"]),
    ("fit trainer training", &["train"]),
    ("dataset datasets", &["data"]),
    ("device hardware", &["devices"]),
    ("replica", &["replicas", "copies"]),
    ("placement", &["place"]),
    ("copy", &["copies"]),
    ("group", &["groups"]),
    ("backup", &["backups"]),
    ("placeholder", &["input"]),
    ("inputs", &["input"]),
    ("params parameter weight variable trainable", &["param"]),
    ("constant", &["const"]),
    ("objective criterion cost losses", &["loss"]),
    ("metrics", &["metric"]),
    ("yield", &["return"]),
    ("foreach", &["for"]),
    ("decode", &["generate"]),
    ("optimizer optimiser optimise solver", &["optimize"]),
    ("dataloader source", &["feed"]),
    ("eval validate validation", &["evaluate"]),
    ("checkpoint", &["save"]),
    ("randomseed manualseed", &["seed"]),
    ("synchronous synchronized", &["sync"]),
    ("asynchronous", &["async"]),
    ("gradientaccumulation accumulationsteps", &["accumulate"]),
    ("ema swa", &["average"]),
    ("clipgrad clipgradnorm gradclip clipnorm", &["clip"]),
    // ---- values ----
    ("float float32 single real fp32", &["f32"]),
    ("number num double", &["float", "f64"]),
    ("float64 fp64", &["f64"]),
    ("half float16 fp16", &["f16"]),
    ("bfloat16 bfloat", &["bf16"]),
    ("int int32 integer", &["i32", "int"]),
    ("int64 long", &["i64", "int"]),
    ("uint8 byte char uint", &["u8"]),
    ("boolean", &["bool"]),
    ("str text", &["string"]),
    ("callable", &["layer"]),
    ("yes on", &["true"]),
    ("no off", &["false"]),
    ("loge", &["log"]),
    ("ln", &["log", "layer_norm"]),
    // ---- layers and functions ----
    ("linear fullyconnected fc innerproduct", &["dense"]),
    ("conv1d conv2d conv3d convolution convolution2d convolution1d convolution3d", &["conv"]),
    (
        "convtranspose1d convtranspose2d convtranspose3d conv2dtranspose conv1dtranspose deconv deconvolution \
         convtranspose",
        &["conv_transposed"],
    ),
    (
        "maxpool maxpool1d maxpool2d maxpool3d maxpooling1d maxpooling2d maxpooling3d maxpooling",
        &["max_pool"],
    ),
    (
        "avgpool avgpool1d avgpool2d avgpool3d averagepooling1d averagepooling2d averagepooling3d meanpool avgpooling",
        &["average_pool"],
    ),
    (
        "globalaveragepooling2d globalaveragepooling1d globalaveragepooling globalavgpool adaptiveavgpool2d",
        &["global_average_pool"],
    ),
    ("globalmaxpooling2d globalmaxpooling1d globalmaxpooling adaptivemaxpool2d", &["global_max_pool"]),
    ("batchnorm1d batchnorm2d batchnorm3d batchnormalization bn", &["batch_norm"]),
    ("layernormalization", &["layer_norm"]),
    ("lrn localresponsenormalization", &["local_response_norm"]),
    ("dropout1d dropout2d alphadropout", &["dropout"]),
    ("embed embeddingbag lookup", &["embedding"]),
    ("grucell", &["gru"]),
    ("lstmcell", &["lstm"]),
    ("simplernn rnncell", &["rnn"]),
    ("multiheadattention mha scaleddotproductattention", &["attention", "attend"]),
    ("swish hardswish", &["silu"]),
    (
        "crossentropyloss sparsecategoricalcrossentropy categoricalcrossentropy softmaxcrossentropy nllloss \
         softmaxcrossentropywithlogits",
        &["cross_entropy"],
    ),
    ("bcewithlogitsloss bceloss binarycrossentropy bce sigmoidcrossentropy", &["binary_cross_entropy"]),
    ("mseloss meansquarederror l2loss", &["mse"]),
    ("l1loss meanabsoluteerror", &["mae", "mean_absolute_error"]),
    ("smoothl1loss huberloss", &["huber"]),
    ("hingeloss", &["hinge"]),
    ("acc sparsecategoricalaccuracy categoricalaccuracy", &["accuracy"]),
    ("topk topkaccuracy", &["top"]),
    ("concatenate cat hstack append", &["concat"]),
    ("reshape view ravel", &["flatten", "grouped", "merged"]),
    ("ctcloss", &["ctc"]),
    ("sampledsoftmaxloss nceloss", &["sampled_softmax"]),
    ("fscore f1score", &["f1", "macro_f1"]),
    ("logaddexp", &["log_add"]),
    ("permute swapaxes t", &["transpose"]),
    ("unsqueeze expanddims newaxis", &["new_axis"]),
    ("chunk unstack", &["split"]),
    ("where select cond ifelse", &["choose"]),
    ("reducesum", &["sum"]),
    ("reducemean avg", &["mean"]),
    ("reducemax amax", &["max"]),
    ("reducemin amin", &["min"]),
    ("power", &["pow"]),
    ("astype", &["cast"]),
    ("detach stopgradient nograd", &["stop", "frozen"]),
    ("arange", &["index"]),
    ("len length", &["size"]),
    ("absolute fabs", &["abs"]),
    ("clamp clip", &["minimum"]),
    ("scatter indexadd", &["scatter_add"]),
    ("take takealongaxis indexselect", &["gather"]),
    ("rand", &["random", "uniform"]),
    ("randn gaussian randomnormal truncatednormal normalinit", &["normal"]),
    ("randomuniform", &["uniform"]),
    ("xavier xavieruniform xaviernormal glorotuniform glorotnormal xavierinit", &["glorot"]),
    ("kaiming kaiminguniform kaimingnormal henormal heuniform", &["he"]),
    ("zero zerosinit empty", &["zeros"]),
    ("one onesinit", &["ones"]),
    // ---- arguments ----
    ("filters outchannels numfilters", &["channels"]),
    ("kernelsize ksize filtersize", &["kernel"]),
    ("poolsize", &["window"]),
    ("strides", &["stride"]),
    ("dilationrate dilations", &["dilation"]),
    ("pad", &["padding"]),
    ("outfeatures numunits hidden hiddensize hiddenunits unit", &["units"]),
    ("p prob probability droprate dropprob keepprob", &["rate"]),
    ("lr learningrate stepsize alpha eta", &["rate"]),
    ("eps", &["epsilon"]),
    ("dim dims axes", &["axis"]),
    ("keepdim keepdims", &["keep"]),
    ("weightdecay wd l2", &["decay"]),
    ("usebias", &["bias"]),
    ("kernelinitializer init initializer", &["weights"]),
    ("labelsmoothing", &["smoothing"]),
    ("negativeslope", &["slope"]),
    ("buffersize", &["window"]),
    ("b1", &["beta1"]),
    ("b2", &["beta2"]),
    // ---- data ----
    ("readcsv loadcsv tsv", &["csv"]),
    ("loadnpy numpy", &["npy"]),
    ("loadnpz", &["npz"]),
    ("imagefolder imagedirectory pictures photos", &["images"]),
    ("randomhorizontalflip horizontalflip mirror fliplr", &["flip"]),
    ("centercrop centralcrop", &["crop"]),
    ("randomresizedcrop", &["random_crop"]),
    ("standardize standardise standardization perimagestandardization", &["whiten"]),
    ("mnist ubyte", &["idx"]),
    ("usecols cols", &["columns"]),
    ("randomize permutation mix", &["shuffle"]),
    ("batched batchsize minibatch", &["batch"]),
    ("traintestsplit partition", &["split"]),
    ("cache", &["prefetch"]),
    ("buffer", &["prefetch", "const"]),
    // ---- optimizers ----
    ("gradientdescent", &["sgd"]),
    ("nesterov", &["momentum"]),
    // ---- units ----
    ("iterations iteration iters iter its updates batches", &["steps"]),
    ("min mins m", &["minutes"]),
    ("h hr hrs", &["hours"]),
    ("sec secs", &["seconds"]),
    ("ep", &["epochs"]),
    ("samples sample rows", &["examples"]),
    ("gbps gbits gbit", &["Gbit/s"]),
    ("mbps mbits mbit", &["Mbit/s"]),
    ("gbytes gigabytes gigabyte", &["GB"]),
    ("mbytes megabytes megabyte", &["MB"]),
    ("tflops tflop", &["TFLOP/s"]),
    ("gflops gflop", &["GFLOP/s"]),
];

#[cfg(test)]
mod tests {
    use super::{WORDS, called_here};

    #[test]
    fn a_word_is_found_however_it_is_written() {
        assert_eq!(called_here("MaxPooling2D"), ["max_pool"]);
        assert_eq!(called_here("learning_rate"), ["rate"]);
        assert_eq!(called_here("dense"), [] as [&str; 0]);
    }

    #[test]
    fn no_word_is_shadowed_by_an_earlier_line() {
        let mut seen = std::collections::HashMap::new();
        for (at, (theirs, _)) in WORDS.iter().enumerate() {
            for word in theirs.split_whitespace() {
                let first = seen.insert(word, at);
                assert_eq!(first, None, "`{word}` stands in two lines");
                assert!(!word.contains('_') && word == word.to_ascii_lowercase(), "`{word}` is never found");
            }
        }
    }
}
